//! The file of cases: what a guest is called with, and what it should return.

use std::path::Path;
use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{Bytes, HostCall, HostCallError, HostHandler};
use serde::Deserialize;

use crate::args::Pattern;
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
    /// The host calls that the case answers; all others are refused.
    #[serde(default)]
    host: Vec<Mock>,
}

/// The expected error, by its kind, its text, or both.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedError {
    /// The code of the error kind, such as `guest_failed`.
    pub(crate) kind: Option<String>,
    /// The guest's own text, or the library's message if the guest gave none.
    pub(crate) text: Option<String>,
}

/// A host call that the case answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mock {
    /// `BINDING/NAMESPACE/OPERATION`, as in `--host-call`.
    call: Pattern,
    /// The payload that the guest must send; any payload if absent.
    payload: Option<Payload>,
    answer: Option<Payload>,
    error: Option<String>,
}

impl Cases {
    /// Reads a file and checks everything that can be checked without a guest.
    pub(crate) fn load(path: &Path) -> Result<(Self, String), Failure> {
        let text = read_cases(path)?;
        let invalid =
            |what: String| Failure::Usage(format!("{} is not a file of cases", path.display()), unfit(what));
        let cases: Self =
            toml::from_str(&text).map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
        if cases.cases.is_empty() {
            return Err(invalid("it has no [[case]]".to_owned()));
        }
        for (number, case) in cases.cases.iter().enumerate() {
            case.check().map_err(|Unfit(what)| {
                invalid(format!("case {}, {}: {what}", number.saturating_add(1), case.name()))
            })?;
        }
        Ok((cases, text))
    }
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

    /// Returns the answers to the host calls of this case.
    pub(crate) fn mocks(&self) -> Result<Mocks, Unfit> {
        self.host.iter().map(Mock::load).collect::<Result<_, _>>().map(|mocks: Vec<_>| Mocks(mocks.into()))
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

/// Answers host calls as the case says.
#[derive(Clone, Debug)]
pub(crate) struct Mocks(Arc<[Loaded]>);

#[derive(Debug)]
struct Loaded {
    call: Pattern,
    payload: Option<Vec<u8>>,
    answer: Result<Bytes, String>,
}

impl Mock {
    fn load(&self) -> Result<Loaded, Unfit> {
        let answer = match (&self.answer, &self.error) {
            (Some(answer), None) => Ok(answer.bytes()?.into()),
            (None, Some(error)) => Err(error.clone()),
            _ => return Err(Unfit("a [[case.host]] needs an answer or an error, not both".to_owned())),
        };
        let payload = self.payload.as_ref().map(Payload::bytes).transpose()?;
        Ok(Loaded { call: self.call.clone(), payload, answer })
    }
}

impl HostHandler for Mocks {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let HostCall { binding, namespace, operation, payload, .. } = call;
        let answers = |mock: &&Loaded| {
            mock.call.matches([binding, namespace, operation])
                && mock.payload.as_ref().is_none_or(|expected| expected == payload)
        };
        match self.0.iter().find(answers) {
            Some(mock) => mock.answer.clone().map_err(HostCallError::new),
            None => Err(HostCallError::new(format!(
                "host call {binding}/{namespace}/{operation} refused: no [[case.host]] matches it and its payload"
            ))),
        }
    }
}
