//! A server in this process, and a client that writes bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use antiphon_server::config::{Auth, Config, Role, Token};
use antiphon_server::deployment::{Modules, Seams};
use antiphon_server::http::{Servers, Sockets};
use antiphon_server::meters;
use metrics_exporter_prometheus::PrometheusHandle;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Longer than any answer takes, also beside other builds.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) servers: Option<Servers>,
    pub(crate) modules: Modules,
    pub(crate) calls: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Holds modules and state until the server is dropped.
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server without modules.
    pub(crate) async fn empty(configure: impl FnOnce(&mut Config)) -> Self {
        Self::start(&[], configure).await
    }

    /// Starts a server of the guest `echo`, as modules of these names.
    pub(crate) async fn start(modules: &[&str], configure: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.modules = folder.path().join("modules");
        config.server.state = folder.path().join("state");
        std::fs::create_dir(&config.server.modules).unwrap();
        for name in modules {
            std::fs::copy(guest("rust"), config.server.modules.join(format!("{name}.wasm"))).unwrap();
        }
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.admin = ([127, 0, 0, 1], 0).into();
        configure(&mut config);
        let metrics = metrics();
        let sockets = Sockets::listen(&config).await.unwrap();
        let modules = Modules::start(&config, Seams::default()).await.unwrap();
        modules.settled().await;
        let servers = Servers::start(sockets, &config, modules.clone(), Some(metrics)).unwrap();
        let (calls, admin) = (servers.calls(), servers.admin());
        Self { servers: Some(servers), modules, calls, admin, _folder: folder }
    }
}

/// Returns the path of a guest that is built.
pub(crate) fn guest(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../guests/built/{name}.wasm"))
}

pub(crate) fn token(name: &str, secret: &str, role: Role, modules: &[&str]) -> Token {
    let modules = modules.iter().map(|&name| name.to_owned()).collect();
    Token { name: name.into(), sha256: Sha256::digest(secret).into(), role, modules }
}

pub(crate) fn auth() -> Option<Auth> {
    let tokens = [
        token("shop", "calls-of-shop", Role::Call, &["pricing", "tax*"]),
        token("ops", "writes-of-ops", Role::Admin, &[]),
    ];
    let mut auth = Some(Auth::default());
    auth.iter_mut().for_each(|auth| auth.tokens = tokens.to_vec());
    auth
}

/// Returns the numbers of this process.
pub(crate) fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = meters::recorder().unwrap();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).unwrap();
        handle
    };
    HANDLE.get_or_init(install).clone()
}

/// Returns everything that this process logs, at every level.
pub(crate) fn logs() -> Arc<Mutex<Vec<u8>>> {
    static LOGS: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

    struct Writer(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            std::io::Write::write(&mut *self.0.lock().unwrap(), bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let install = || {
        let logs = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&logs);
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&writer)))
            .init();
        logs
    };
    Arc::clone(LOGS.get_or_init(install))
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.headers["content-type"].ends_with("json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Checks that the answer is a problem document with this code, and that it agrees with the
    /// status line.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?} {}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(status.into()), Some(code)));
    }
}

/// Reads one answer; `None` if the connection ends before a status line.
pub(crate) async fn answer(socket: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(LONG, socket.read(&mut byte)).await.expect("an answer in time") {
            Ok(1) => head.push(byte[0]),
            _ if head.is_empty() => return None,
            end => panic!("cut within the headers: {end:?} {}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    timeout(LONG, socket.read_exact(&mut body)).await.expect("a body in time").unwrap();
    Some(Answer { status, headers, body })
}

/// Sends bytes on a connection of their own, and reads one answer.
pub(crate) async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes.as_ref()).await.unwrap();
    answer(&mut socket).await.expect("an answer")
}

/// A request that is written out.
pub(crate) struct Ask {
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            line: format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n"),
            headers: String::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn call(module: &str, operation: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", &format!("/v1/modules/{module}/operations/{operation}")).body(payload)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = self.body.len();
        let mut bytes = format!("{}{}Content-Length: {length}\r\n\r\n", self.line, self.headers).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(crate) async fn to(&self, address: SocketAddr) -> Answer {
        send(address, self.bytes()).await
    }

    pub(crate) async fn on(&self, socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Answer {
        socket.write_all(&self.bytes()).await.unwrap();
        answer(socket).await.expect("an answer")
    }
}

/// Waits until the server ends the connection, and returns how long that took and what came before.
pub(crate) async fn ends(socket: &mut (impl AsyncRead + Unpin)) -> (Duration, Vec<u8>) {
    let began = Instant::now();
    let mut came = Vec::new();
    // A reset is an end, too.
    let _ = timeout(LONG, socket.read_to_end(&mut came)).await.expect("the connection never ended");
    (began.elapsed(), came)
}
