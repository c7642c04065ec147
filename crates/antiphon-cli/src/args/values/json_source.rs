//! `--json`: a JSON value, or where to read it.

use std::path::PathBuf;

use serde_json::Value;

use super::options::{Invalid, json};

/// A JSON value from the command line, or the place to read it from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JsonSource {
    Value(Value),
    File(PathBuf),
    /// Standard input.
    Input,
}

impl JsonSource {
    /// Parses JSON text, `@FILE` or `-`. No JSON text begins with `@`, and none is a single dash.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix('@') {
            Some(file) => Ok(Self::File(file.into())),
            None if text == "-" => Ok(Self::Input),
            None => json(text).map(Self::Value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_standard_input_are_told_from_json() {
        assert_eq!(JsonSource::parse("@a.json").unwrap(), JsonSource::File("a.json".into()));
        assert_eq!(JsonSource::parse("-").unwrap(), JsonSource::Input);
        assert_eq!(JsonSource::parse("-1").unwrap(), JsonSource::Value((-1).into()));
        for wrong in ["", "--", "a@b"] {
            assert!(matches!(JsonSource::parse(wrong), Err(Invalid::Json(_))), "{wrong}");
        }
    }
}
