//! Runs the program under test.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;

pub(crate) const MODES: [&str; 2] = ["async", "sync"];

/// Every engine, in the order in which the program lists them.
pub(crate) const ENGINES: [&str; 2] = ["wasmtime", "wasmi"];

/// Returns the engines of this build.
pub(crate) fn here() -> impl Iterator<Item = &'static str> {
    let built = [cfg!(feature = "wasmtime"), cfg!(feature = "wasmi")];
    ENGINES.into_iter().zip(built).filter_map(|(engine, built)| built.then_some(engine))
}

/// Guests in all languages, each with the operations of `guests/README.md`.
pub(crate) const GUESTS: [&str; 6] =
    ["rust.wasm", "assemblyscript.wasm", "assemblyscript-env-abort.wasm", "c.wasm", "go.wasm", "zig.wasm"];

/// The guest of two megabytes.
pub(crate) const LARGE_GUEST: &str = "go.wasm";

/// The outcome of a run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    /// Returns standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Returns the error as JSON, from the last line of standard error.
    pub(crate) fn error(&self) -> serde_json::Value {
        serde_json::from_str(self.stderr.lines().last().unwrap()).unwrap()
    }

    /// Asserts that the run failed with this exit code and left standard output empty.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!((self.code, self.text()), (Some(code), ""), "{}", self.stderr);
        self
    }

    /// Asserts that the run wrote this text to standard output, log lines of the guest to standard
    /// error, and succeeded.
    #[track_caller]
    pub(crate) fn logged(self, answer: &str) {
        assert_eq!((self.code, self.text()), (Some(0), answer), "{}", self.stderr);
        assert!(self.stderr.lines().all(|line| line.starts_with("guest: ")), "{}", self.stderr);
    }

    /// Asserts that the run wrote these bytes to standard output, nothing to standard error, and
    /// succeeded.
    #[track_caller]
    pub(crate) fn answered(self, answer: impl AsRef<[u8]>) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        assert_eq!(self.stdout, answer.as_ref());
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

/// Returns the root of the repository, which examples use as their current directory.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn guest(name: &str) -> PathBuf {
    repository().join("guests/built").join(name)
}

/// Returns the cache directory of the program under test, so that tests never touch a user's.
pub(crate) fn caches() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

pub(crate) fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(arguments).stdin(Stdio::null()).current_dir(repository());
    command.env("XDG_CACHE_HOME", caches());
    for variable in ["NO_COLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    command(arguments).output().unwrap().into()
}

/// Runs the program with bytes on standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The write may fail: a program that has read enough closes its end.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

/// Sends Ctrl-C to the program.
#[cfg(target_os = "linux")]
pub(crate) mod interrupt {
    use std::ffi::OsStr;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// Returns a command with the default action of the signal. A test runner in the background may
    /// ignore the signal, and children inherit that.
    pub(crate) fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        with("--default-signal=INT", arguments)
    }

    /// Returns a command that starts with the signal ignored.
    pub(crate) fn ignored(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        with("--ignore-signal=INT", arguments)
    }

    fn with(signal: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let program = super::command(arguments);
        let mut command = Command::new("env");
        command.args([signal.as_ref(), program.get_program()]).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).current_dir(super::repository());
        command
    }

    /// Waits until the program handles the signal, and then for this time.
    pub(crate) fn wait_for(child: &mut Child, time: Duration) {
        let status = format!("/proc/{}/status", child.id());
        let begun = Instant::now();
        let catches = || {
            let status = std::fs::read_to_string(&status).unwrap();
            let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
            // A shell that starts the program catches the signal, too.
            value("Name:") == "antiphon" && u64::from_str_radix(value("SigCgt:"), 16).unwrap() & 0b10 != 0
        };
        while !catches() {
            let late = begun.elapsed() > Duration::from_secs(60);
            if late {
                child.kill().unwrap();
            }
            assert!(!late, "it never catches the signal");
            sleep(Duration::from_millis(10));
        }
        sleep(time);
    }

    /// Sends the signal.
    pub(crate) fn press(child: &Child) {
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Asserts that the signal ended the program.
    #[track_caller]
    pub(crate) fn ended(status: ExitStatus) {
        assert_eq!((status.code(), status.signal()), (None, Some(2)));
    }
}

/// Runs `antiphon call` in a mode on one of the guests.
pub(crate) fn call(mode: &str, name: &str, arguments: &[&str]) -> Run {
    if name == LARGE_GUEST {
        // Takes seconds to compile. So the first test compiles it, and the others find it in the
        // cache.
        static COMPILED: Once = Once::new();
        COMPILED.call_once(|| drop(call_path(mode, &guest(name), &["echo"])));
    }
    call_path(mode, &guest(name), arguments)
}

/// Runs `antiphon call` in a mode on a module.
pub(crate) fn call_path(mode: &str, module: &Path, arguments: &[&str]) -> Run {
    let mut all: Vec<&OsStr> = vec!["call".as_ref(), "--mode".as_ref(), mode.as_ref(), module.as_ref()];
    all.extend(arguments.iter().map(OsStr::new));
    run(all)
}

/// A module in text format, in a file that lives as long as this value.
pub(crate) struct Wat {
    dir: tempfile::TempDir,
}

impl Wat {
    pub(crate) fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("guest.wat"), text).unwrap();
        Self { dir }
    }

    /// Returns a guest with a memory of one page, the import of responses, and this body of
    /// `__guest_call`.
    pub(crate) fn guest(fields: &str, body: &str) -> Self {
        Self::new(&format!(
            r#"(module
                (import "wapc" "__guest_response" (func $respond (param i32 i32)))
                {fields}
                (memory (export "memory") 1)
                (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32) {body}))"#
        ))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("guest.wat")
    }
}
