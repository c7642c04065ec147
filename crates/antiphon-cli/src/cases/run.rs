//! Runs cases and compares their outcomes with what they expect.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon::errors::Error;
use antiphon::{EngineProviderFactory, Limits, LogLine};
use similar::{ChangeTag, TextDiff};

use super::file::{Case, ExpectedError};
use crate::args::Mode;
use crate::failure::Failure;
use crate::lock::lock;
use crate::payload::{Payload, Unfit};
use crate::run::Calls;
use crate::terminal;

/// How a call of a case ended.
pub(crate) type Ended = Result<Vec<u8>, Error>;

/// A case that was run, and its outcome.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    pub(crate) time: Duration,
    /// The lines that the guest logged.
    pub(crate) log: Vec<String>,
    /// The expected lines against the actual ones, each line marked ` `, `-` or `+`; `None` if they
    /// are equal.
    pub(crate) difference: Option<String>,
    /// What is worth knowing besides: answers to host calls that nothing used, host calls that were
    /// refused.
    pub(crate) notes: Vec<String>,
}

/// What each case gets a host of.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(crate) factory: &'a dyn EngineProviderFactory,
    pub(crate) limits: Limits,
    pub(crate) mode: Mode,
}

/// Runs a case in a host of its own, so that no case sees state that another left behind.
pub(crate) fn run_case(case: &Case, host: Host<'_>) -> Result<Ran, Failure> {
    let mocks = case.mocks().map_err(invalid)?;
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let calls = Calls {
        operation: &case.operation,
        payload: &case.payload.bytes().map_err(invalid)?,
        limits: host.limits,
        handler: mocks.clone(),
        log: move |line: LogLine<'_>| {
            lock(&lines).push(line.text.to_owned());
            terminal::guest_line(line);
        },
    };
    let mut ran = (Ok(Vec::new()), Duration::ZERO);
    calls.make(host.mode, host.factory, |ended, time| {
        ran = (ended.map(std::mem::take), time);
        ControlFlow::Break(())
    })?;
    let (ended, time) = ran;
    let log = std::mem::take(&mut *lock(&log));
    let differences = [difference(case, &ended), difference_of_log(case, &log)];
    let differences: Vec<_> = differences.into_iter().flatten().collect();
    let difference = (!differences.is_empty()).then(|| differences.join("\n"));
    let mut notes = mocks.unused();
    if difference.is_some() {
        notes.extend(mocks.refused());
    }
    Ok(Ran { ended, time, log, difference, notes })
}

/// Compares what the guest logged with what the case expects.
fn difference_of_log(case: &Case, came: &[String]) -> Option<String> {
    let lines = |lines: &[String]| lines.iter().map(|line| format!("log: {line}\n")).collect::<String>();
    let expected = case.log.as_ref().filter(|expected| *expected != came)?;
    Some(diff(&lines(expected), &lines(came)))
}

/// Returns the failure for a case that cannot be encoded. Loading a file checks every case, so this
/// does not happen.
fn invalid(unfit: Unfit) -> Failure {
    Failure::Usage("the case is invalid".to_owned(), std::io::Error::other(unfit.0))
}

/// Compares the outcome with what the case expects.
fn difference(case: &Case, ended: &Ended) -> Option<String> {
    let (expected, came) = match (&case.answer, &case.error, ended) {
        (Some(expected), _, Ok(came)) if same(expected, came) => return None,
        (Some(expected), _, Ok(came)) => (expected.lines(), expected.alike(came).lines()),
        (None, Some(expected), Err(error)) => {
            let came = ExpectedError::of(error).only(expected);
            if came == *expected {
                return None;
            }
            (expected.lines(), came.lines())
        }
        (Some(expected), _, Err(error)) => (expected.lines(), ExpectedError::of(error).lines()),
        (None, Some(expected), Ok(came)) => (expected.lines(), case.payload.alike(came).lines()),
        (None, None, Ok(came)) => return Some(unexpected(&case.payload.alike(came).lines())),
        (None, None, Err(error)) => return Some(unexpected(&ExpectedError::of(error).lines())),
    };
    Some(diff(&expected, &came))
}

/// Returns whether the guest answered with `expected`: compared as values if the case gives a
/// value, and byte by byte otherwise.
fn same(expected: &Payload, came: &[u8]) -> bool {
    match expected {
        Payload::Value(codec, value) => codec.is(value, came),
        Payload::Text(text) => came == text.as_bytes(),
        Payload::Hex(bytes) => came == bytes,
        Payload::File(_, bytes) => bytes.as_deref() == Some(came),
    }
}

/// Returns the difference for a case that states no expectation.
fn unexpected(came: &str) -> String {
    let came = came.lines().map(|line| format!("+{line}\n")).collect::<String>();
    format!("{came} the case states neither an answer nor an error; `--update` writes the actual outcome")
}

fn diff(expected: &str, came: &str) -> String {
    let mut lines = Vec::new();
    for change in TextDiff::from_lines(expected, came).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        lines.push(format!("{sign}{}", change.value().trim_end_matches('\n')));
    }
    if lines.iter().all(|line| line.starts_with(' ')) {
        lines.push("+ equal as text, but different in bytes or in type".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_only_the_lines_that_changed_with_a_sign() {
        assert_eq!(diff("a\nb\nc", "a\nx\nc"), " a\n-b\n+x\n c");
        assert_eq!(diff("", "x"), "+x");
        assert!(diff("a", "a").contains("equal as text"));
        assert!(unexpected("").starts_with(" the case states neither"));
        assert!(unexpected("x\ny").starts_with("+x\n+y\n the case states neither"));
    }

    #[test]
    fn values_are_compared_as_values_and_texts_as_bytes() {
        let value = Payload::Value(crate::payload::Codec::Json, serde_json::json!({ "a": 1, "b": 2 }));
        assert!(same(&value, b"{ \"b\": 2, \"a\": 1 }"));
        assert!(!same(&value, b"{}") && !same(&value, b"{"));
        let binary =
            Payload::Value(crate::payload::Codec::Msgpack, serde_json::json!({ "$bin_base64": "aGk=" }));
        assert!(same(&binary, b"\xc4\x02hi") && !same(&binary, b"\xa2hi"));
        assert!(same(&Payload::Text("x".into()), b"x") && !same(&Payload::Text("x".into()), b"x\n"));
    }
}
