//! Processes in which hostile cases run, several at once and each alone in its process.
//!
//! A hostile case is judged by the memory that its process takes up, so no other case may run in
//! that process at the same time. In the process of the run they would have to follow one another,
//! with all processors but one idle. So the run starts its own program again, as a worker, and
//! hands it one case at a time. A case that ends its process is a failed test, not the end of the
//! run.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use super::unpoisoned;

/// Set in the environment of a worker.
const WORKER: &str = "ANTIPHON_CONFORMANCE_WORKER";

/// Begins the line that says how a case ended. A worker's other lines are output of the case.
const ENDED: &str = "\u{1}ended ";

/// Returns whether this process is a worker of a run.
pub(crate) fn is_worker() -> bool {
    env::var_os(WORKER).is_some()
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
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
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
#[derive(Debug, Default)]
pub(crate) struct Workers {
    idle: Mutex<Vec<Worker>>,
}

impl Workers {
    /// Runs a test in a worker that runs no other, and starts one if all are busy.
    pub(crate) fn check(&self, name: &str) -> Result<(), Failed> {
        let idle = unpoisoned(self.idle.lock()).pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => Worker::start().map_err(|error| format!("no worker could be started: {error}"))?,
        };
        match worker.check(name)? {
            Ok(()) => {
                unpoisoned(self.idle.lock()).push(worker);
                Ok(())
            }
            // The case may have left a thread behind that still runs, so its worker goes.
            Err(text) => Err(text.into()),
        }
    }
}

#[derive(Debug)]
struct Worker {
    process: Child,
    names: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        Self::spawn(command.env(WORKER, "1"))
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(names), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            unreachable!("both pipes were asked for")
        };
        Ok(Self { process, names, answers: BufReader::new(answers) })
    }

    /// Runs a test. It is an error of its own if the process does not say how the test ended.
    fn check(&mut self, name: &str) -> Result<End, String> {
        let asked = writeln!(self.names, "{name}");
        asked.and_then(|()| read_end(&mut self.answers)).map_err(|error| {
            let status = self.end();
            format!("the process of the case is gone ({status}): {error}")
        })
    }

    /// Ends the process if it has not ended, and says how it did.
    fn end(&mut self) -> String {
        // A process that closed its pipe is about to end by itself, which says more than a kill.
        let by_itself = (0..100).find_map(|_| {
            let ended = self.process.try_wait().ok().flatten();
            if ended.is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            ended
        });
        if let Some(status) = by_itself {
            return status.to_string();
        }
        // It may end in this moment.
        let _ = self.process.kill();
        match self.process.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
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
}
