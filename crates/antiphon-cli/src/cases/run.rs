//! Runs cases and compares their outcomes with what they expect.

use std::ops::ControlFlow;
use std::time::Duration;

use antiphon::errors::Error;
use antiphon::{EngineProviderFactory, Limits};
use similar::{ChangeTag, TextDiff};

use super::file::{Case, ExpectedError};
use crate::args::Mode;
use crate::failure::Failure;
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
    /// The expected lines against the actual ones, each line marked ` `, `-` or `+`; `None` if they
    /// are equal.
    pub(crate) difference: Option<String>,
}

/// Runs a case in a host of its own, so that no case sees state that another left behind.
pub(crate) fn run_case(
    case: &Case,
    (factory, limits): (&dyn EngineProviderFactory, Limits),
    mode: Mode,
) -> Result<Ran, Failure> {
    let calls = Calls {
        operation: &case.operation,
        payload: &case.payload.bytes().map_err(invalid)?,
        limits,
        handler: case.mocks().map_err(invalid)?,
        log: terminal::guest_line,
    };
    let mut ran = (Ok(Vec::new()), Duration::ZERO);
    calls.make(mode, factory, |ended, time| {
        ran = (ended.map(std::mem::take), time);
        ControlFlow::Break(())
    })?;
    let (ended, time) = ran;
    let difference = difference(case, &ended);
    Ok(Ran { ended, time, difference })
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
