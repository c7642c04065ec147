//! JSON, and a codec from outside this crate.
use std::collections::BTreeMap;

use antiphon_codec::{Codec, DecodeError, DecodeErrorKind, EncodeError, Json, MAX_DEPTH};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Person<'a> {
    name: &'a str,
    age: u8,
}

#[test]
fn json_is_written_after_what_is_there_and_borrows_text() {
    let mut out = b"prefix ".to_vec();
    Json.encode_into(&Person { name: "Ada", age: 36 }, &mut out).unwrap();
    assert_eq!(out, br#"prefix {"name":"Ada","age":36}"#);
    let person: Person<'_> = Json.decode(&out[7..]).unwrap();
    assert_eq!(person, Person { name: "Ada", age: 36 });
    assert!(out.as_ptr_range().contains(&person.name.as_ptr()));
    let no_key = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(Json.encode(&no_key).unwrap_err().to_string(), "json not encoded: key must be a string");
}

#[test]
fn json_errors_name_the_field_and_the_offset() {
    let text = "[\n {\"name\": \"Ada\", \"age\": 36},\n {\"name\": \"Bob\", \"age\": true}]";
    let error = Json.decode::<Vec<Person<'_>>>(text.as_bytes()).unwrap_err();
    assert_eq!(
        (error.codec(), error.kind(), error.field()),
        ("json", DecodeErrorKind::Mismatch, Some("[1].age"))
    );
    assert_eq!(error.detail(), "invalid type: boolean `true`, expected u8");
    // The last byte of the value that was read.
    assert_eq!(text.as_bytes()[error.offset()..], *b"e}]");

    for (text, kind, offset) in [
        ("", DecodeErrorKind::Truncated, 0),
        (r#"{"name":"Ad"#, DecodeErrorKind::Truncated, 11),
        (r#"{"name":!}"#, DecodeErrorKind::Malformed, 8),
        (r#"{"name":"Ada","age":36} {"#, DecodeErrorKind::Trailing, 24),
    ] {
        let error = Json.decode::<Person<'_>>(text.as_bytes()).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{text}: {error}");
    }
}

#[test]
fn json_nesting_is_bounded() {
    #[derive(Deserialize)]
    struct Tree(#[expect(dead_code, reason = "only its depth matters")] Vec<Tree>);
    let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
    Json.decode::<Tree>(nested(MAX_DEPTH).as_bytes()).unwrap();
    let error = Json.decode::<Tree>(nested(1_000_000).as_bytes()).err().unwrap();
    assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
    // The path is as long as the nesting, but the error is bounded.
    assert!(error.to_string().len() < 1_200);
}

#[test]
fn a_codec_is_added_from_outside() {
    /// A third-party codec: writes each byte of another codec as two hexadecimal digits.
    struct Hex<C>(C);
    impl<C: Codec> Codec for Hex<C> {
        fn name(&self) -> &'static str {
            "hex"
        }

        fn encode_into<T: Serialize + ?Sized>(
            &self,
            value: &T,
            out: &mut Vec<u8>,
        ) -> Result<(), EncodeError> {
            for byte in self.0.encode(value)? {
                out.extend(format!("{byte:02x}").bytes());
            }
            Ok(())
        }

        fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, DecodeError> {
            Err(DecodeError::new("hex", DecodeErrorKind::Malformed, bytes.len(), "not read").in_field("a.b"))
        }
    }
    assert_eq!(Hex(Json).encode(&true).unwrap(), b"74727565");
    let error = Hex(Json).decode::<bool>(b"7").unwrap_err();
    assert_eq!(error.to_string(), "hex not decoded: at byte 1, in field a.b: not read");
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_an_error_within_them(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Err(error) = Json.decode::<Vec<Person<'_>>>(&bytes) {
            prop_assert!(error.offset() <= bytes.len());
        }
    }

    #[test]
    fn json_that_ends_early_is_truncated_and_json_with_a_byte_changed_is_a_value_or_an_error(
        value in prop::collection::btree_map(".{0,9}", prop::collection::vec(any::<Option<i16>>(), 0..4), 0..6),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        type Value = BTreeMap<String, Vec<Option<i16>>>;
        let mut bytes = Json.encode(&value).unwrap();
        prop_assert_eq!(&Json.decode::<Value>(&bytes).unwrap(), &value);
        let at = at.index(bytes.len());
        let cut = &bytes[..at];
        let error = Json.decode::<Value>(cut).unwrap_err();
        prop_assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Truncated, at), "{}", error);
        bytes[at] = byte;
        if let Err(error) = Json.decode::<Value>(&bytes) {
            prop_assert!(error.offset() <= bytes.len() && error.to_string().len() < 1_200, "{}", error);
        }
    }

    #[test]
    fn any_text_of_brackets_is_a_value_or_an_error_within_it(text in r#"[\[\]{}":,0-9 \n\\a-f]{0,60}"#) {
        if let Err(error) = Json.decode::<BTreeMap<String, Vec<Option<u8>>>>(text.as_bytes()) {
            prop_assert!(error.offset() <= text.len());
        }
    }
}
