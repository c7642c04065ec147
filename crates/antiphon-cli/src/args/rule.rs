//! `--host-call`: which host calls are answered, and how.

use std::path::PathBuf;

use serde::Deserialize;

use super::options::Invalid;

/// One `--host-call`: which host calls it answers, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) answer: Answer,
}

/// A pattern of host calls: binding, namespace, operation. `None` matches anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern([Option<String>; 3]);

impl Pattern {
    /// Parses `BINDING/NAMESPACE/OPERATION`. Only the first two slashes separate, so an operation
    /// may contain slashes.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        match text.splitn(3, '/').collect::<Vec<_>>().as_slice() {
            ["*"] => Ok(Self([None, None, None])),
            [binding, namespace, operation] => Ok(Self(
                [*binding, *namespace, *operation].map(|part| (part != "*").then(|| part.to_owned())),
            )),
            _ => Err(Invalid::Pattern),
        }
    }

    /// Returns whether the pattern matches a host call, given as binding, namespace and operation.
    pub(crate) fn matches(&self, call: [&str; 3]) -> bool {
        self.0.iter().zip(call).all(|(part, value)| part.as_ref().is_none_or(|part| part == value))
    }
}

impl TryFrom<String> for Pattern {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

/// The answer of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(String),
    File(PathBuf),
    Error(String),
}

impl Rule {
    /// Parses `BINDING/NAMESPACE/OPERATION=ANSWER`. Only the first `=` separates, so an answer may
    /// contain anything.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let (pattern, answer) = text.split_once('=').ok_or(Invalid::Rule)?;
        let pattern = Pattern::parse(pattern)?;
        let answer = if let Some(file) = answer.strip_prefix('@') {
            Answer::File(file.into())
        } else if let Some(error) = answer.strip_prefix('!') {
            Answer::Error(error.to_owned())
        } else {
            Answer::Text(answer.to_owned())
        };
        Ok(Self { pattern, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rule_is_refused() {
        assert!(matches!(Rule::parse("a/b/c"), Err(Invalid::Rule)));
        for wrong in ["=x", "a=x", "a/b=x", "**=x"] {
            assert!(matches!(Rule::parse(wrong), Err(Invalid::Pattern)), "{wrong}");
        }
    }
}
