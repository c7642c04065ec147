//! Rules from the command line that answer the guest's host calls.

use antiphon::{Bytes, HostCall, HostCallError, HostHandler};

use super::{inputs, read};
use crate::args::{Answer, Pattern, Rule};
use crate::failure::Failure;
use crate::payload::Codec;

/// What an answer is called in errors.
const WHAT: &str = "answer to a host call";

/// All rules, with their files read. The first rule that matches a host call answers it.
#[derive(Clone, Debug)]
pub(crate) struct Rules(Vec<Loaded>);

#[derive(Clone, Debug)]
struct Loaded {
    pattern: Pattern,
    answer: Result<Bytes, String>,
}

impl Rules {
    /// Reads the files that rules answer with, each of at most `limit` bytes, and encodes values.
    pub(crate) fn load(rules: &[Rule], codec: Codec, limit: u64) -> Result<Self, Failure> {
        let load = |rule: &Rule| {
            let answer: Result<Bytes, String> = match &rule.answer {
                Answer::Text(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
                Answer::Error(text) => Err(text.clone()),
                Answer::Json(source) => {
                    Ok(inputs::encode(codec, &inputs::read_json(source, WHAT, limit)?, WHAT)?.into())
                }
                Answer::File(path) => {
                    Ok(read::read_file(WHAT, path, limit)?.ok_or(Failure::TooLarge(WHAT, limit))?.into())
                }
            };
            match answer {
                Ok(bytes) if !inputs::within(&bytes, limit) => Err(Failure::TooLarge(WHAT, limit)),
                answer => Ok(Loaded { pattern: rule.pattern.clone(), answer }),
            }
        };
        rules.iter().map(load).collect::<Result<_, _>>().map(Self)
    }

    fn answer(&self, call: [&str; 3]) -> Result<Bytes, String> {
        for rule in &self.0 {
            if rule.pattern.matches(call) {
                return rule.answer.clone();
            }
        }
        let [binding, namespace, operation] = call;
        Err(format!("host call {binding}/{namespace}/{operation} refused: no --host-call rule matches it"))
    }
}

impl HostHandler for Rules {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        self.answer([call.binding, call.namespace, call.operation]).map_err(HostCallError::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Rules {
        let rules: Vec<_> = texts.iter().map(|text| Rule::parse(text).unwrap()).collect();
        Rules::load(&rules, Codec::Msgpack, 100).unwrap()
    }

    fn text(rules: &Rules, call: [&str; 3]) -> Result<String, String> {
        rules.answer(call).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn the_first_rule_that_matches_answers() {
        let rules = rules(&["a/b/c=one", "a/*/c=two", "a/b/*=!three", "*/*/*=four"]);
        assert_eq!(text(&rules, ["a", "b", "c"]).unwrap(), "one");
        assert_eq!(text(&rules, ["a", "x", "c"]).unwrap(), "two");
        assert_eq!(text(&rules, ["a", "b", "x"]).unwrap_err(), "three");
        assert_eq!(text(&rules, ["", "", ""]).unwrap(), "four");
    }

    #[test]
    fn a_bare_star_matches_all_and_an_answer_may_hold_anything() {
        assert_eq!(text(&rules(&["*=a=b/c"]), ["x", "y", "z"]).unwrap(), "a=b/c");
        assert_eq!(text(&rules(&["*="]), ["x", "y", "z"]).unwrap(), "");
    }

    #[test]
    fn a_rule_splits_at_the_first_two_slashes_and_parts_may_be_empty() {
        let rules = rules(&["a/b/c/d=deep", "//op=bare"]);
        assert_eq!(text(&rules, ["a", "b", "c/d"]).unwrap(), "deep");
        assert_eq!(text(&rules, ["", "", "op"]).unwrap(), "bare");
    }

    #[test]
    fn a_value_is_encoded_by_the_codec() {
        let rule = Rule::parse(r#"*=json:{"a":[1,true]}"#).unwrap();
        let of = |codec| {
            let loaded = Rules::load(std::slice::from_ref(&rule), codec, 100).unwrap();
            loaded.answer(["", "", ""]).unwrap()
        };
        assert_eq!(of(Codec::Msgpack), b"\x81\xa1a\x92\x01\xc3".as_slice());
        assert_eq!(of(Codec::Json), br#"{"a":[1,true]}"#.as_slice());
        let Err(Failure::TooLarge(_, 3)) = Rules::load(&[rule], Codec::Msgpack, 3) else {
            panic!("too large")
        };
    }

    #[test]
    fn a_refusal_names_the_call() {
        assert_eq!(
            text(&rules(&[]), ["a", "b", "c"]).unwrap_err(),
            "host call a/b/c refused: no --host-call rule matches it"
        );
        assert!(text(&rules(&["a/b/C=x"]), ["a", "b", "c"]).is_err());
    }

    #[test]
    fn a_file_is_read_once_and_within_its_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\xffbytes").unwrap();
        let rule = Rule::parse(&format!("*=@{}", file.path().display())).unwrap();
        let loaded = Rules::load(std::slice::from_ref(&rule), Codec::Msgpack, 6).unwrap();
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(loaded.answer(["a", "b", "c"]).unwrap(), b"\xffbytes".as_slice());

        std::fs::write(file.path(), b"1234567").unwrap();
        assert!(Rules::load(&[rule], Codec::Msgpack, 6).is_err());
    }
}
