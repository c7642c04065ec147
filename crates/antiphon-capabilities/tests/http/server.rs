//! A server that answers as a test says, and names that lead where a test says.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon::{WapcHostAsync, async_trait};
use antiphon_capabilities::{Backends, HttpClient, Resolve};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::common::{ask, host_async};

/// What a server writes for a request.
pub(crate) enum Answer {
    /// These bytes.
    Whole(Vec<u8>),
    /// These bytes, then the connection ends.
    Last(Vec<u8>),
    /// The first bytes, then the others again and again, each after a pause.
    Drip(Vec<u8>, Vec<u8>, Duration),
}

/// Makes an answer with status, headers and body.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.as_ref().len());
    Answer::Whole([head.as_bytes(), body.as_ref()].concat())
}

type Rule = dyn Fn(&str) -> Answer + Send + Sync;

/// A server on the loopback address.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::behind(None, rule).await
    }

    pub(crate) async fn behind(
        tls: Option<tokio_rustls::TlsAcceptor>,
        rule: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, rule): (_, Arc<Rule>) = (Arc::<Seen>::default(), Arc::new(rule));
        let theirs = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                theirs.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, rule, tls) = (Arc::clone(&theirs), Arc::clone(&rule), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &*rule).await,
                        Some(tls) => serve(tls.accept(stream).await?, &seen, &*rule).await,
                    }
                });
            }
        });
        Self { port, seen }
    }

    /// Returns the requests so far, each with its body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen, rule: &Rule) -> io::Result<()> {
    let mut got = Vec::new();
    loop {
        let request = loop {
            if let Some(request) = take_request(&mut got) {
                break request;
            }
            if stream.read_buf(&mut got).await? == 0 {
                return Ok(());
            }
        };
        seen.requests.lock().unwrap().push(request.clone());
        match rule(&request) {
            Answer::Whole(bytes) => stream.write_all(&bytes).await?,
            Answer::Last(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Answer::Drip(first, again, pause) => {
                stream.write_all(&first).await?;
                loop {
                    tokio::time::sleep(pause).await;
                    stream.write_all(&again).await?;
                }
            }
        }
    }
}

/// Takes a request with its body out of what was received.
fn take_request(got: &mut Vec<u8>) -> Option<String> {
    let head = got.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&got[..head]).to_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    if got.len() < head + length {
        return None;
    }
    let request: Vec<u8> = got.drain(..head + length).collect();
    Some(String::from_utf8_lossy(&request).into_owned())
}

/// Names with the answers that they give, one after the other; the last one stays.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Vec<String>,
}

impl Names {
    /// Adds a name. Answers are separated by a semicolon, and addresses by blanks.
    pub(crate) fn with(self, name: &str, answers: &str) -> Self {
        let parse =
            |answer: &str| answer.split_whitespace().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().answers.insert(name.into(), answers.split(';').map(parse).collect());
        self
    }

    /// Returns the names that were asked for, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut known = self.0.lock().unwrap();
        known.asked.push(name.into());
        match known.answers.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        }
    }
}

/// A certificate authority that nothing uses, where a test has no TLS.
pub(crate) fn authority() -> Vec<u8> {
    rcgen::generate_simple_self_signed(["unused.test".into()]).unwrap().cert.der().to_vec()
}

/// Makes a host whose guest has one `http` grant: these keys, and the test's names.
pub(crate) async fn host(grant: &str, names: &Names) -> WapcHostAsync {
    host_trusting(grant, names, &authority()).await
}

pub(crate) async fn host_trusting(grant: &str, names: &Names, authority: &[u8]) -> WapcHostAsync {
    let client = HttpClient::trusting(Handle::current(), authority).unwrap().resolver(names.clone());
    host_async(&format!("[[grant]]\nhttp = {{ {grant} }}"), &Backends::new().http(client)).await
}

pub(crate) async fn request(host: &WapcHostAsync, asked: Value) -> Result<Value, String> {
    ask("http", "request").json_async(host, asked).await
}

/// Sends a GET request.
pub(crate) async fn get(host: &WapcHostAsync, url: impl Into<String>) -> Result<Value, String> {
    request(host, json!({"url": url.into()})).await
}

/// Returns the code of an error.
pub(crate) fn code(said: &Result<Value, String>) -> &str {
    match said {
        Ok(said) => panic!("answered {said}"),
        Err(text) => text.split(": ").next().unwrap(),
    }
}
