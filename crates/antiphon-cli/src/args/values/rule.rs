//! `--host-call`: which host calls are answered, and how.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::json_source::JsonSource;
use super::options::Invalid;

/// One `--host-call`: which host calls it answers, and how.
#[derive(Clone, Debug, PartialEq)]
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
    /// may contain slashes. A slash behind a backslash does not separate.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        if text == "*" {
            return Ok(Self([None, None, None]));
        }
        let (binding, rest) = split(text, '/').ok_or(Invalid::Pattern)?;
        let (namespace, operation) = split(rest, '/').ok_or(Invalid::Pattern)?;
        Ok(Self([part(binding)?, part(namespace)?, part(operation)?]))
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

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [binding, namespace, operation] = self.0.each_ref().map(|part| part.as_deref().unwrap_or("*"));
        write!(f, "{binding}/{namespace}/{operation}")
    }
}

/// Splits a text at the first `stop` that is not behind a backslash.
fn split(text: &str, stop: char) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = text.find(|c| {
        let here = !escaped && c == stop;
        escaped = !escaped && c == '\\';
        here
    })?;
    Some((text.get(..at)?, text.get(at.checked_add(stop.len_utf8())?..)?))
}

/// Reads one part of a pattern. Returns `None` for the `*` that matches anything.
fn part(text: &str) -> Result<Option<String>, Invalid> {
    if text == "*" {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => rest.next().filter(|c| ESCAPED.contains(c)).ok_or(Invalid::Escape)?,
            c => c,
        });
    }
    Ok(Some(out))
}

/// The characters that may stand behind a backslash.
const ESCAPED: [char; 4] = ['/', '=', '*', '\\'];

/// The answer of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Text(String),
    /// A value that a codec encodes; never from standard input.
    Json(JsonSource),
    File(PathBuf),
    Error(String),
}

impl Rule {
    /// Parses `BINDING/NAMESPACE/OPERATION=ANSWER`. Only the first `=` that is not behind a
    /// backslash separates, so an answer may contain anything.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let (pattern, answer) = split(text, '=').ok_or(Invalid::Rule)?;
        let pattern = Pattern::parse(pattern)?;
        let answer = if let Some(file) = answer.strip_prefix('@') {
            Answer::File(file.into())
        } else if let Some(json) = answer.strip_prefix("json:") {
            match JsonSource::parse(json)? {
                JsonSource::Input => return Err(Invalid::InputOfRule),
                source => Answer::Json(source),
            }
        } else if let Some(text) = answer.strip_prefix("text:") {
            Answer::Text(text.to_owned())
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
        for wrong in ["=x", "a=x", "a/b=x", "**=x", r"a\/b/c=x"] {
            assert!(matches!(Rule::parse(wrong), Err(Invalid::Pattern)), "{wrong}");
        }
        for wrong in [r"a/b\n/c=x", r"a/b/\"] {
            let wrong = format!("{wrong}=x");
            assert!(matches!(Rule::parse(&wrong), Err(Invalid::Escape | Invalid::Rule)), "{wrong}");
        }
        assert!(matches!(Rule::parse("*=json:{"), Err(Invalid::Json(_))));
        assert!(matches!(Rule::parse("*=json:-"), Err(Invalid::InputOfRule)));
    }

    #[test]
    fn a_slash_behind_a_backslash_is_part_of_a_name() {
        let matches = |pattern: &str, call: [&str; 3]| Pattern::parse(pattern).unwrap().matches(call);
        assert!(matches(r"a/wasi:kv\/store/get", ["a", "wasi:kv/store", "get"]));
        assert!(!matches("a/wasi:kv/store/get", ["a", "wasi:kv/store", "get"]));
        assert!(matches(r"\*/\\/c", ["*", r"\", "c"]) && !matches(r"\*/b/c", ["a", "b", "c"]));
        let rule = Rule::parse(r"a/b\=c/d=e").unwrap();
        assert!(rule.pattern.matches(["a", "b=c", "d"]) && rule.answer == Answer::Text("e".into()));
    }

    #[test]
    fn an_answer_may_be_a_value_or_a_text_that_looks_like_something_else() {
        let answer = |text: &str| Rule::parse(&format!("*={text}")).unwrap().answer;
        assert_eq!(answer("json:[1]"), Answer::Json(JsonSource::Value(serde_json::json!([1]))));
        assert_eq!(answer("json:@a.json"), Answer::Json(JsonSource::File("a.json".into())));
        assert_eq!(answer("text:@a"), Answer::Text("@a".into()));
        assert_eq!(answer("text:json:1"), Answer::Text("json:1".into()));
    }
}
