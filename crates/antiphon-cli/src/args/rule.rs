//! `--host-call`: which host calls are answered, and how.

use std::path::PathBuf;

use serde::Deserialize;

use super::options::Invalid;

/// One `--host-call`: which calls it answers, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) answer: Answer,
}

/// Which host calls are meant: binding, namespace, operation; `None` matches anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern([Option<String>; 3]);

impl Pattern {
    /// Reads `BINDING/NAMESPACE/OPERATION`, cut at the first two slashes, so that an operation may have slashes.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        match text.splitn(3, '/').collect::<Vec<_>>().as_slice() {
            ["*"] => Ok(Self([None, None, None])),
            [binding, namespace, operation] => Ok(Self(
                [*binding, *namespace, *operation].map(|part| (part != "*").then(|| part.to_owned())),
            )),
            _ => Err(Invalid::Pattern),
        }
    }

    /// Whether a host call, by its binding, namespace and operation, is meant.
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

/// What a rule answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(String),
    File(PathBuf),
    Error(String),
}

impl Rule {
    /// Reads `BINDING/NAMESPACE/OPERATION=ANSWER`: cut at the first `=`, so that an answer may have anything.
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
