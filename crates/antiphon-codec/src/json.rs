use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::bounded::bounded;
use crate::located::failed_field;
use crate::{Codec, DecodeError, DecodeErrorKind, EncodeError};

/// The name of the codec, also in its errors.
const NAME: &str = "json";

/// JSON without white space.
///
/// Text without escapes is borrowed if the type can borrow. An error's offset is where reading
/// stopped; for a value of the wrong type, that is its end.
///
/// ```
/// use antiphon_codec::{Codec, Json};
///
/// let bytes = Json.encode(&[("a", 1), ("b", 2)]).unwrap();
/// assert_eq!(bytes, br#"[["a",1],["b",2]]"#);
/// let error = Json.decode::<Vec<(&str, u8)>>(br#"[["a",1],["b",300]]"#).unwrap_err();
/// assert_eq!(error.field(), Some("[1][1]"));
/// assert_eq!(error.detail(), "invalid value: integer `300`, expected u8");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode_into<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut bytes = serde_json::to_vec(value).map_err(|error| EncodeError::new(NAME, error))?;
        if out.is_empty() {
            *out = bytes
        } else {
            out.append(&mut bytes)
        }
        Ok(())
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, DecodeError> {
        serde_json::from_slice(bytes).map_err(|error| {
            let field = failed_field::<T, _>(&mut serde_json::Deserializer::from_slice(bytes));
            decode_error(bytes, &error).in_field(field)
        })
    }
}

/// Converts an error of serde_json.
fn decode_error(bytes: &[u8], error: &serde_json::Error) -> DecodeError {
    let said = bounded_detail(error);
    let kind = match error.classify() {
        Category::Eof => DecodeErrorKind::Truncated,
        Category::Data => DecodeErrorKind::Mismatch,
        // serde_json distinguishes these by their texts only.
        _ if said.starts_with("recursion limit") => DecodeErrorKind::TooDeep,
        _ if said.starts_with("trailing characters") => DecodeErrorKind::Trailing,
        _ => DecodeErrorKind::Malformed,
    };
    let offset = match kind {
        DecodeErrorKind::Truncated => bytes.len(),
        _ => offset(bytes, error.line(), error.column()),
    };
    DecodeError::new(NAME, kind, offset, said)
}

/// Returns the error's text without its line and column; [`DecodeError`] gives a byte offset
/// instead.
fn bounded_detail(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let detail = text.rfind(" at line ").and_then(|end| text.get(..end)).unwrap_or(&text);
    bounded(detail)
}

/// Converts a line (counted from 1) and a column into an offset. serde_json's column is the number
/// of bytes read in that line.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        let rest = bytes.get(start..).unwrap_or_default();
        match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => start += end + 1,
            None => break,
        }
    }
    // The last byte read is the one that did not fit.
    (start + column.saturating_sub(1)).min(bytes.len())
}
