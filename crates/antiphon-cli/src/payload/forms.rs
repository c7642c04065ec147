//! Payloads in the forms that users write: text, JSON, MessagePack or hexadecimal.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use antiphon_codec::{Codec as _, Json};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::marked;
use super::wide_numbers::wide_number;
use crate::failure::Failure;
use crate::run::read_file;

/// The codec that encodes a value as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    /// MessagePack, which most waPC guests speak
    Msgpack,
    /// JSON
    Json,
}

impl Codec {
    /// Returns the name of the codec, also on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Msgpack => "msgpack",
            Self::Json => "json",
        }
    }

    pub(crate) fn encode(self, value: &Value) -> Result<Vec<u8>, Unfit> {
        match self {
            Self::Msgpack => marked::encode(value),
            Self::Json => Json.encode(value).map_err(|error| Unfit(error.to_string())),
        }
    }

    /// Decodes a value that must use all of the bytes. What MessagePack has and JSON lacks is
    /// marked. An integer in JSON that is not held exactly is an error.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<Value, Unfit> {
        if self == Self::Msgpack {
            return marked::decode(bytes);
        }
        let value = Json.decode(bytes).map_err(|error| Unfit(error.to_string()))?;
        match std::str::from_utf8(bytes).ok().and_then(wide_number) {
            Some(number) => Err(Unfit(format!("at byte {}: {number}", number.offset))),
            None => Ok(value),
        }
    }

    /// Returns whether bytes are this value. Each mark is compared as what it stands for.
    pub(crate) fn is(self, value: &Value, bytes: &[u8]) -> bool {
        let expected = self.encode(value).and_then(|bytes| self.decode(&bytes));
        expected.is_ok_and(|expected| self.decode(bytes).is_ok_and(|came| came == expected))
    }
}

/// Why something is not a valid payload. The text is complete by itself.
#[derive(Debug)]
pub(crate) struct Unfit(pub(crate) String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A payload in a form of a file of cases: `"text"`, `{ text = ".." }`, `{ json = .. }`, `{ msgpack
/// = .. }`, `{ hex = "00 ff" }` or `{ file = ".." }`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) enum Payload {
    Text(String),
    Value(Codec, Value),
    Hex(Vec<u8>),
    /// A file, and its bytes once it was read and if it is there.
    File(PathBuf, Option<Vec<u8>>),
}

impl Default for Payload {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl TryFrom<toml::Value> for Payload {
    type Error = Unfit;

    fn try_from(written: toml::Value) -> Result<Self, Unfit> {
        const FORMS: &str = "a payload is a text, or a table with one of text, json, msgpack, hex and file";
        let table = match written {
            toml::Value::String(text) => return Ok(Self::Text(text)),
            toml::Value::Table(table) if table.len() == 1 => table,
            _ => return Err(Unfit(FORMS.to_owned())),
        };
        let Some((form, value)) = table.into_iter().next() else { return Err(Unfit(FORMS.to_owned())) };
        match (form.as_str(), value) {
            ("text", toml::Value::String(text)) => Ok(Self::Text(text)),
            ("json", value) => Ok(Self::Value(Codec::Json, json_of(value)?)),
            ("msgpack", value) => Ok(Self::Value(Codec::Msgpack, json_of(value)?)),
            ("hex", toml::Value::String(digits)) => bytes_of_hex(&digits).map(Self::Hex),
            ("file", toml::Value::String(path)) => Ok(Self::File(path.into(), None)),
            (form, _) if !["text", "hex", "file"].contains(&form) => Err(Unfit(format!(
                "unknown form `{form}`, expected one of `text`, `json`, `msgpack`, `hex`, `file`"
            ))),
            _ => Err(Unfit(FORMS.to_owned())),
        }
    }
}

impl Payload {
    /// Encodes the payload.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Unfit> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Value(codec, value) => codec.encode(value),
            Self::Hex(bytes) => Ok(bytes.clone()),
            Self::File(path, bytes) => {
                bytes.clone().ok_or_else(|| Unfit(format!("the file {} is not there", path.display())))
            }
        }
    }

    /// Reads the file that is named, of at most `limit` bytes. One that is not there stays without
    /// bytes.
    pub(crate) fn read_file(&mut self, folder: &Path, limit: u64) -> Result<(), Failure> {
        let Self::File(path, bytes) = self else { return Ok(()) };
        *path = folder.join(&*path);
        *bytes = match read_file("file of a case", path, limit) {
            Err(Failure::Usage(_, error)) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?.ok_or(Failure::TooLarge("file of a case", limit))?),
        };
        Ok(())
    }

    /// Decodes bytes into this payload's form. Bytes that do not fit it become text, or hexadecimal
    /// if they are not UTF-8.
    pub(crate) fn alike(&self, bytes: &[u8]) -> Self {
        let alike = match self {
            Self::Value(..) if bytes.is_empty() => None,
            Self::Text(_) => None,
            Self::Value(codec, _) => codec.decode(bytes).ok().map(|value| Self::Value(*codec, value)),
            Self::Hex(_) => Some(Self::Hex(bytes.to_vec())),
            Self::File(path, _) => Some(Self::File(path.clone(), Some(bytes.to_vec()))),
        };
        alike.unwrap_or_else(|| match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(bytes.to_vec()),
        })
    }

    /// Formats the payload for a reader.
    pub(crate) fn lines(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Value(_, value) => format!("{value:#}"),
            Self::Hex(bytes) => hex_lines(bytes),
            Self::File(path, None) => format!("(the file {} is not there)", path.display()),
            Self::File(_, Some(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => hex_lines(bytes),
            },
        }
    }

    /// Formats the payload in one line of at most `most` characters.
    pub(crate) fn line(&self, most: usize) -> String {
        let whole = match self {
            Self::Value(_, value) => value.to_string(),
            other => other.lines().replace('\n', " "),
        };
        match whole.char_indices().nth(most) {
            Some((end, _)) => format!("{}..", whole.get(..end).unwrap_or_default()),
            None => whole,
        }
    }
}

fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(16).map(hex_of_bytes).collect::<Vec<_>>().join("\n")
}

/// Formats bytes as pairs of hexadecimal digits, separated by spaces.
pub(crate) fn hex_of_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Parses pairs of hexadecimal digits; white space is ignored.
fn bytes_of_hex(text: &str) -> Result<Vec<u8>, Unfit> {
    let digits = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16));
    let digits = digits.collect::<Option<Vec<_>>>();
    let digits = digits.filter(|digits| digits.len() % 2 == 0);
    let digits = digits.ok_or_else(|| Unfit("hex needs an even number of hexadecimal digits".to_owned()))?;
    let pairs = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
    Ok(pairs.filter_map(|byte| u8::try_from(byte).ok()).collect())
}

/// Converts a TOML value to JSON.
fn json_of(value: toml::Value) -> Result<Value, Unfit> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => match Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => return Err(Unfit(format!("{number} is not a number in JSON"))),
        },
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => return Err(Unfit(format!("{time} is a date: put it in quotes"))),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(json_of).collect::<Result<_, _>>()?),
        toml::Value::Table(fields) => {
            let field = |(name, value)| Ok((name, json_of(value)?));
            Value::Object(fields.into_iter().map(field).collect::<Result<Map<_, _>, Unfit>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payload(toml: &str) -> Result<Payload, String> {
        let mut table: toml::Table = toml::from_str(&format!("p = {toml}")).unwrap();
        Payload::try_from(table.remove("p").unwrap()).map_err(|unfit| unfit.to_string())
    }

    #[test]
    fn every_form_stands_for_its_bytes() {
        assert_eq!(payload("'hi'").unwrap().bytes().unwrap(), b"hi");
        assert_eq!(payload("{ text = 'hi' }").unwrap().bytes().unwrap(), b"hi");
        assert_eq!(payload("{ hex = '00 fF' }").unwrap().bytes().unwrap(), b"\x00\xff");
        assert_eq!(payload("{ json = { a = [1, true] } }").unwrap().bytes().unwrap(), br#"{"a":[1,true]}"#);
        assert_eq!(
            payload("{ msgpack = { a = [1, true] } }").unwrap().bytes().unwrap(),
            b"\x81\xa1a\x92\x01\xc3"
        );
    }

    #[test]
    fn what_is_no_payload_is_refused_with_a_reason() {
        for wrong in ["1", "{}", "{ text = 1 }", "{ text = '', hex = '' }", "{ file = 1 }"] {
            assert!(payload(wrong).unwrap_err().starts_with("a payload is a text, or"), "{wrong}");
        }
        assert!(payload("{ yaml = '' }").unwrap_err().starts_with("unknown form `yaml`, expected one of"));
        assert!(payload("{ hex = '0' }").unwrap_err().contains("even number"));
        assert!(payload("{ hex = '0g' }").unwrap_err().contains("even number"));
        assert!(payload("{ json = 2026-01-01 }").unwrap_err().contains("put it in quotes"));
        assert!(payload("{ json = [inf] }").unwrap_err().contains("not a number"));
    }

    #[test]
    fn bytes_are_read_in_the_form_of_the_payload_where_they_can_be() {
        let value = Payload::Value(Codec::Msgpack, Value::Null);
        assert_eq!(value.alike(b"\x81\xa1a\x01"), Payload::Value(Codec::Msgpack, json!({ "a": 1 })));
        assert_eq!(value.alike(b"hi"), Payload::Text("hi".into()));
        assert_eq!(value.alike(b""), Payload::Text(String::new()));
        assert_eq!(value.alike(b"\xff\xff"), Payload::Hex(vec![0xff; 2]));
        assert_eq!(Payload::Text(String::new()).alike(b"\xff"), Payload::Hex(vec![0xff]));
        assert_eq!(Payload::Hex(Vec::new()).alike(b"hi"), Payload::Hex(b"hi".to_vec()));
    }
}
