//! The file of cases: what a guest is called with, and what it should return.

use std::path::Path;

use antiphon::Limits;
use antiphon::errors::{Error, ErrorKind};
use serde::{Deserialize, Deserializer};
use similar::get_close_matches;

use super::mocks::{Mock, Mocks};
use crate::failure::Failure;
use crate::payload::{Payload, Unfit};
use crate::run::read_cases;

/// All cases of a file, in file order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    #[serde(rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// One call and its expected outcome.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    name: Option<String>,
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) payload: Payload,
    pub(crate) answer: Option<Payload>,
    pub(crate) error: Option<ExpectedError>,
    /// The lines that the guest must log, from its start to the end of the call; any lines if
    /// absent.
    pub(crate) log: Option<Vec<String>>,
    /// The host calls that the case answers; all others are refused.
    #[serde(default)]
    host: Vec<Mock>,
}

/// The expected error, by its kind, its text, or both.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedError {
    /// The code of the error kind, such as `guest_failed`.
    #[serde(default, deserialize_with = "known_kind")]
    pub(crate) kind: Option<String>,
    /// The guest's own text, or the library's message if the guest gave none.
    pub(crate) text: Option<String>,
}

impl Cases {
    /// Reads a file and the files that it names, and checks everything that can be checked without
    /// a guest.
    pub(crate) fn load(path: &Path, limits: &Limits) -> Result<(Self, String), Failure> {
        let text = read_cases(path)?;
        let invalid =
            |what: String| Failure::Usage(format!("{} is not a file of cases", path.display()), unfit(what));
        let mut cases: Self = toml::from_str(&text).map_err(|error| invalid(explained(&error)))?;
        if cases.cases.is_empty() {
            return Err(invalid("it has no [[case]]".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for (number, case) in cases.cases.iter_mut().enumerate() {
            case.read_files(folder, limits)?;
            case.check().map_err(|Unfit(what)| {
                invalid(format!("case {}, {}: {what}", number.saturating_add(1), case.name()))
            })?;
        }
        Ok((cases, text))
    }
}

/// Returns what is wrong and where, with the nearest word that would be right.
fn explained(error: &toml::de::Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    if let Some(word) = nearest(error.message()) {
        text.push_str(&format!("\ndid you mean `{word}`?"));
    }
    text
}

/// Returns the nearest of the words that a message expects instead of an unknown one. Such a
/// message is "unknown field `a`, expected one of `b`, `c`".
fn nearest(message: &str) -> Option<&str> {
    let (_, quoted) = message.split_once("unknown ")?;
    let mut words = quoted.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    get_close_matches(unknown, &words.collect::<Vec<_>>(), 1, 0.6).first().copied()
}

/// Reads the code of a kind of error.
fn known_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let kind = String::deserialize(deserializer)?;
    let codes: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    if codes.contains(&kind.as_str()) {
        return Ok(Some(kind));
    }
    let codes = codes.join("`, `");
    Err(serde::de::Error::custom(format_args!("unknown kind `{kind}`, expected one of `{codes}`")))
}

fn unfit(what: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

impl Case {
    /// Returns the case's name, or its operation if it has none.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.operation)
    }

    fn check(&self) -> Result<(), Unfit> {
        if self.answer.is_some() && self.error.is_some() {
            return Err(Unfit("a case has an answer or an error, not both".to_owned()));
        }
        if self.error.as_ref().is_some_and(|error| error.kind.is_none() && error.text.is_none()) {
            return Err(Unfit("an error needs a kind, a text, or both".to_owned()));
        }
        self.payload.bytes()?;
        self.mocks().map(drop)
    }

    /// Reads the files that the case names. Only that of the answer may be missing.
    fn read_files(&mut self, folder: &Path, limits: &Limits) -> Result<(), Failure> {
        let all = [Some(&mut self.payload), self.answer.as_mut()].into_iter().flatten();
        let of_host = self.host.iter_mut().flat_map(|mock| [mock.payload.as_mut(), mock.answer.as_mut()]);
        let limit =
            [limits.request_or_default(), limits.response_or_default(), limits.host_payload_or_default()];
        let limit = limit.into_iter().max().unwrap_or(u64::MAX);
        all.chain(of_host.flatten()).try_for_each(|payload| payload.read_file(folder, limit))
    }

    /// Returns the answers to the host calls of this case.
    pub(crate) fn mocks(&self) -> Result<Mocks, Unfit> {
        Mocks::load(&self.host, &self.payload)
    }
}

impl ExpectedError {
    /// Describes an actual error in the terms of a case.
    pub(crate) fn of(error: &Error) -> Self {
        let text = error.guest_error().unwrap_or_else(|| error.message());
        Self { kind: Some(error.code().to_owned()), text: Some(text.to_owned()) }
    }

    /// Returns this error with only those fields that `expected` sets, so that unset fields are not
    /// compared.
    pub(crate) fn only(self, expected: &Self) -> Self {
        Self {
            kind: self.kind.filter(|_| expected.kind.is_some()),
            text: self.text.filter(|_| expected.text.is_some()),
        }
    }

    /// Formats the error for a reader, one field a line.
    pub(crate) fn lines(&self) -> String {
        let parts = [("kind", &self.kind), ("text", &self.text)];
        let lines = parts.iter().filter_map(|(name, part)| Some(format!("error {name}: {}", part.as_ref()?)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_of_those_that_are_expected() {
        assert_eq!(nearest("unknown field `anwser`, expected one of `name`, `answer`"), Some("answer"));
        assert_eq!(nearest("unknown field `x`, expected `case`"), None);
        assert_eq!(nearest("unknown kind `traped`, expected one of `trapped`, `engine`"), Some("trapped"));
        assert_eq!(nearest("missing field `case`"), None);
    }
}
