//! The program in a folder of its own, and a client that writes bytes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes, also beside other builds.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A guest whose every operation runs until it is ended.
pub(crate) const ENDLESS: &str = r#"(module (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32) (loop (br 0)) (i32.const 1)))"#;

/// A folder that the program runs in.
pub(crate) struct Folder(tempfile::TempDir);

/// Returns the path of a guest that is built.
pub(crate) fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../guests/built/{name}.wasm"))
}

impl Folder {
    /// Makes a folder with these guests as modules of their names.
    pub(crate) fn new(guests: &[&str]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("modules")).unwrap();
        for name in guests {
            folder.add(name, name);
        }
        folder
    }

    /// Adds a guest, or another version of one, as a whole.
    pub(crate) fn add(&self, name: &str, of: &str) {
        fs::copy(guest(of), self.path("new")).unwrap();
        fs::rename(self.path("new"), self.path(&format!("modules/{name}.wasm"))).unwrap();
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon-server"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        for variable in ["NO_COLOR", "CLICOLOR_FORCE", "ANTIPHON_TOKEN"] {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    /// Starts a server on free ports, and waits until it is ready.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let ports = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.command(&[&ports, arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server {
            child,
            stdout,
            said: String::new(),
            log: self.path("log"),
            calls: String::new(),
            admin: String::new(),
        };
        server.until("ready");
        let said = server.said.clone();
        let port = |line: &str| {
            let line = said.lines().find(|said| said.starts_with(line)).unwrap();
            line.split("//").nth(1).unwrap().split('/').next().unwrap().to_owned()
        };
        (server.calls, server.admin) = (port("calls"), port("operators"));
        server
    }
}

/// The outcome of a command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        self.stderr
    }
}

/// A server that runs, until it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) said: String,
    log: PathBuf,
    pub(crate) calls: String,
    pub(crate) admin: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Reads what it prints until a line begins so.
    pub(crate) fn until(&mut self, beginning: &str) {
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended:\n{}\n{}", self.said, self.log());
            self.said.push_str(&line);
            if line.starts_with(beginning) {
                return;
            }
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has a text.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) {
        eventually(|| self.log().contains(text).then_some(()), || format!("no {text:?} in\n{}", self.log()));
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LONG, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn call(&self, module: &str, operation: &str, payload: &str) -> (u16, String) {
        ask(&self.calls, &format!("POST /v1/modules/{module}/operations/{operation}"), payload)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        ask(&self.admin, &format!("GET {path}"), "")
    }

    /// Runs a command that talks to this server's operators' port.
    pub(crate) fn operate(&self, folder: &Folder, arguments: &[&str]) -> Run {
        folder.run(&[arguments, &["--url", &format!("http://{}", self.admin)]].concat())
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually<T>(mut is: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = is() {
            return value;
        }
        assert!(began.elapsed() < LONG, "{}", what());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a request on a connection of its own, and returns status and body.
pub(crate) fn ask(address: &str, line: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {answer:?}"));
    (status.parse().unwrap(), body.to_owned())
}
