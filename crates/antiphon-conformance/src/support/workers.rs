//! Processes in which hostile cases run, several at once and each alone in its process.
//!
//! A hostile case is judged by the memory that its process takes up, so no other case may run in
//! that process at the same time. In the process of the run they would have to follow one another,
//! with all processors but one idle. So the run starts its own program again, as a worker, and
//! hands it one case at a time. A case that ends its process is a failed test, not the end of the
//! run.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use super::unpoisoned;

/// Set in the environment of a worker, to the name of the run that it works for.
const WORKER: &str = "ANTIPHON_CONFORMANCE_WORKER";

/// Begins the line that says how a case ended. A worker's other lines are output of the case.
const ENDED: &str = "\u{1}ended ";

/// Returns the name of the run that this process is a worker of, if it is one.
pub(crate) fn served_run() -> Option<String> {
    env::var(WORKER).ok()
}

/// Checks the tests whose names a run sends, one a line, until the run closes the pipe.
pub(crate) fn serve(check: impl Fn(&str) -> Result<(), Failed>) -> ExitCode {
    for name in io::stdin().lines() {
        let Ok(name) = name else { return ExitCode::FAILURE };
        let ended = check(&name).map_err(|failed| failed.message().unwrap_or_default().to_owned());
        if write_end(&mut io::stdout().lock(), &ended).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// How a case ended: passed, or what it has to say.
type End = Result<(), String>;

/// Writes a line that says how a case ended and how many bytes it has to say, and then these.
fn write_end(output: &mut impl Write, end: &End) -> io::Result<()> {
    let (word, text) = match end {
        Ok(()) => ("passed", ""),
        Err(text) => ("failed", text.as_str()),
    };
    write!(output, "\n{ENDED}{word} {}\n{text}", text.len())?;
    output.flush()
}

/// Reads up to the end of a case. Prints what the case itself wrote.
fn read_end(input: &mut impl BufRead) -> io::Result<End> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A case may write any bytes.
        let line = String::from_utf8_lossy(&line);
        let Some(end) = line.strip_prefix(ENDED) else {
            if !line.trim().is_empty() {
                print!("{line}");
            }
            continue;
        };
        let (word, length) = end.trim_end().split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
        let mut text = vec![0; length.parse().map_err(|_| io::ErrorKind::InvalidData)?];
        input.read_exact(&mut text)?;
        return Ok(match word {
            "passed" => Ok(()),
            _ => Err(String::from_utf8_lossy(&text).into_owned()),
        });
    }
}

/// The workers of a run.
#[derive(Debug)]
pub(crate) struct Workers {
    /// The name of the run.
    run: String,
    idle: Mutex<Vec<Worker>>,
}

/// Why a worker did not check a case.
pub(crate) enum Unchecked {
    /// No worker could be started: the case may be checked in another way.
    NoWorker,
    /// The case failed, or ended its process.
    Failed(Failed),
}

impl Workers {
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.to_owned(), idle: Mutex::default() }
    }

    /// Runs a test in a worker that runs no other, and starts one if all are busy.
    pub(crate) fn check(&self, name: &str) -> Result<(), Unchecked> {
        let mut worker = match self.take_idle() {
            Some(worker) => worker,
            None => Worker::start(&self.run).map_err(|_| Unchecked::NoWorker)?,
        };
        match worker.check(name).map_err(|text| Unchecked::Failed(text.into()))? {
            Ok(()) => {
                unpoisoned(self.idle.lock()).push(worker);
                Ok(())
            }
            // The case may have left a thread behind that still runs, so its worker goes.
            Err(text) => Err(Unchecked::Failed(text.into())),
        }
    }

    /// Takes an idle worker whose process has not ended. One that ended after its last case stays
    /// among the idle ones, for [`end`](Self::end) to report.
    fn take_idle(&self) -> Option<Worker> {
        let mut idle = unpoisoned(self.idle.lock());
        let alive = idle.iter_mut().position(|worker| matches!(worker.process.try_wait(), Ok(None)))?;
        Some(idle.swap_remove(alive))
    }

    /// Lets all workers end. Returns a text for each that did not end well, which is the doing of a
    /// case that had passed.
    pub(crate) fn end(&self) -> Vec<String> {
        let idle = std::mem::take(&mut *unpoisoned(self.idle.lock()));
        idle.into_iter().filter_map(Worker::retire).collect()
    }
}

#[derive(Debug)]
struct Worker {
    process: Child,
    /// `None` once the worker was told to end.
    names: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The last test that it was given.
    last: String,
}

impl Worker {
    fn start(run: &str) -> io::Result<Self> {
        // The file may be replaced while the tests run, which a path does not survive.
        let itself = PathBuf::from("/proc/self/exe");
        let itself = if itself.exists() { itself } else { env::current_exe()? };
        Self::spawn(Command::new(itself).args(env::args_os().skip(1)).env(WORKER, run))
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (names, Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            unreachable!("the pipe was asked for")
        };
        Ok(Self { process, names, answers: BufReader::new(answers), last: String::new() })
    }

    /// Runs a test. It is an error of its own if the process does not say how the test ended.
    fn check(&mut self, name: &str) -> Result<End, String> {
        name.clone_into(&mut self.last);
        let asked = match &mut self.names {
            Some(names) => writeln!(names, "{name}"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        asked.and_then(|()| read_end(&mut self.answers)).map_err(|error| {
            // A process that closed its pipe is about to end by itself, which says more than a
            // kill.
            let status = self.wait(Duration::from_millis(100));
            let status = status.map_or_else(|| "still running".to_owned(), |status| status.to_string());
            format!("the process of the case is gone ({status}): {error}")
        })
    }

    /// Tells the process to end, and returns a text unless it ends well.
    fn retire(mut self) -> Option<String> {
        self.names = None;
        let ended = match self.wait(Duration::from_secs(5)) {
            Some(status) if status.success() => return None,
            Some(status) => status.to_string(),
            None => "did not end".to_owned(),
        };
        Some(format!("the process of a hostile case {ended} after the case, which was {}", self.last))
    }

    /// Waits for the end of the process, for this long at most.
    fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        for _ in 0..time.as_millis() {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<End> {
        read_end(&mut &*bytes)
    }

    #[test]
    fn an_end_arrives_as_it_was_written_after_any_output() {
        for end in [Ok(()), Err("not so,\n\u{1}ended passed 0\nat all".to_owned()), Err(String::new())] {
            let mut bytes = b"a case may print\nwithout an end of line".to_vec();
            write_end(&mut bytes, &end).unwrap();
            assert_eq!(read(&bytes).unwrap(), end);
        }
    }

    #[test]
    fn a_process_that_says_nothing_more_is_noticed() {
        for (bytes, kind) in [
            (&b""[..], io::ErrorKind::UnexpectedEof),
            (b"output\n", io::ErrorKind::UnexpectedEof),
            (b"\x01ended failed 9\nhalf", io::ErrorKind::UnexpectedEof),
            (b"\x01ended failed many\n", io::ErrorKind::InvalidData),
            (b"\x01ended passed\n", io::ErrorKind::InvalidData),
            (b"\xff\n", io::ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(read(bytes).unwrap_err().kind(), kind, "{bytes:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_case_that_ends_its_process_fails_with_its_status() {
        let mut worker = Worker::spawn(Command::new("sh").args(["-c", "read name; kill -SEGV $$"])).unwrap();
        let error = worker.check("sync::topic::name").unwrap_err();
        assert!(error.starts_with("the process of the case is gone (signal: 11"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn a_process_that_ends_badly_after_its_case_is_reported_with_the_case() {
        for (script, expected) in [
            ("read name; printf '\\001ended passed 0\\n'; read name; kill -SEGV $$", Some("signal: 11")),
            ("read name; printf '\\001ended passed 0\\n'; read name; exit 0", None),
        ] {
            let mut worker = Worker::spawn(Command::new("sh").args(["-c", script])).unwrap();
            assert_eq!(worker.check("sync::topic::name"), Ok(Ok(())));
            let ended = worker.retire();
            assert_eq!(ended.is_some(), expected.is_some(), "{ended:?}");
            let text = ended.unwrap_or_default();
            assert!(
                expected.is_none_or(|end| text.contains(end) && text.ends_with("sync::topic::name")),
                "{text}"
            );
        }
    }
}
