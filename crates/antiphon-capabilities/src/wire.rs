//! The wire of every capability: one map, in MessagePack or in JSON.

use std::borrow::Cow;
use std::fmt;

use antiphon_codec::{Codec, Json, MessagePack};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::{Code, Fault};

/// The largest answer that a guest can get, in bytes: that of a host call.
const MOST_ANSWERED: usize = 4 << 20;

/// The format of a host call, in which it is answered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    MessagePack,
    Json,
}

/// Reads the payload of a host call.
pub(crate) fn read<'de, T: Deserialize<'de>>(payload: &'de [u8]) -> Result<(T, Format), Fault> {
    let (format, decoded) = match payload.first() {
        Some(b'{') => (Format::Json, Json.decode(payload)),
        // The first bytes that a map can begin with. The codec would take an array for a struct
        // too.
        Some(0x80..=0x8f | 0xde | 0xdf) => (Format::MessagePack, MessagePack.decode(payload)),
        _ => return Err(Fault::invalid("the payload is neither a MessagePack map nor a JSON object")),
    };
    let request = decoded.map_err(|error| Fault::invalid(error.to_string()))?;
    Ok((request, format))
}

impl Format {
    pub(crate) fn write<T: Serialize>(self, answer: &T) -> Result<Bytes, Fault> {
        let encoded = match self {
            Self::MessagePack => MessagePack.encode(answer),
            Self::Json => Json.encode(answer),
        };
        let bytes = encoded.map_err(|error| Fault::new(Code::Unavailable, error.to_string()))?;
        if bytes.len() > MOST_ANSWERED {
            let format = match self {
                Self::MessagePack => "MessagePack",
                Self::Json => "JSON, which is larger than MessagePack",
            };
            let size = bytes.len();
            let text = format!(
                "the answer has {size} bytes in {format}; at most {MOST_ANSWERED} fit into a host call"
            );
            return Err(Fault::new(Code::TooLarge, text));
        }
        Ok(bytes.into())
    }
}

/// An answer without fields.
#[derive(Serialize)]
pub(crate) struct Done {}

/// Bytes. In JSON they are text, or an object `{"base64": ".."}` where they are not UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blob<'a>(pub(crate) Cow<'a, [u8]>);

impl Blob<'_> {
    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl<'a> From<&'a [u8]> for Blob<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0);
        }
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(InJson)
        } else {
            deserializer.deserialize_bytes(InMessagePack)
        }
    }
}

struct InMessagePack;

impl<'de> Visitor<'de> for InMessagePack {
    type Value = Blob<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Blob<'de>, E> {
        Ok(Blob(Cow::Borrowed(bytes)))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Blob<'de>, E> {
        Ok(Blob(Cow::Borrowed(text.as_bytes())))
    }
}

struct InJson;

impl<'de> Visitor<'de> for InJson {
    type Value = Blob<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or an object {\"base64\": \"..\"}")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Blob<'de>, E> {
        Ok(Blob(Cow::Borrowed(text.as_bytes())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob<'de>, E> {
        Ok(Blob(Cow::Owned(text.as_bytes().to_vec())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Blob<'de>, A::Error> {
        let Some(key) = map.next_key::<Cow<'de, str>>()? else {
            return Err(de::Error::missing_field("base64"));
        };
        if key != "base64" {
            return Err(de::Error::unknown_field(&key, &["base64"]));
        }
        let text: Cow<'de, str> = map.next_value()?;
        if let Some(key) = map.next_key::<Cow<'de, str>>()? {
            return Err(de::Error::unknown_field(&key, &[]));
        }
        let decoded = STANDARD.decode(text.as_bytes());
        decoded.map(|bytes| Blob(Cow::Owned(bytes))).map_err(|error| {
            de::Error::custom(format_args!("not base64 of the standard alphabet with padding: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Asked<'a> {
        #[serde(borrow)]
        key: Cow<'a, str>,
        #[serde(borrow, default)]
        value: Option<Blob<'a>>,
    }

    #[derive(Serialize)]
    struct Said<'a> {
        value: Blob<'a>,
    }

    fn blob(bytes: &[u8]) -> Option<Blob<'_>> {
        Some(Blob(Cow::Borrowed(bytes)))
    }

    #[test]
    fn both_formats_are_read_and_answered_in_kind() {
        let binary = b"\x82\xa3key\xa1k\xa5value\xc4\x02\xff\x00";
        let (asked, format) = read::<Asked<'_>>(binary).unwrap();
        assert_eq!((&*asked.key, asked.value, format), ("k", blob(b"\xff\x00"), Format::MessagePack));
        let (asked, format) = read::<Asked<'_>>(br#"{"key":"k","value":{"base64":"/wA="}}"#).unwrap();
        assert_eq!((&*asked.key, asked.value, format), ("k", blob(b"\xff\x00"), Format::Json));
        // Text is bytes in both, with and without escapes.
        let (asked, _) = read::<Asked<'_>>(b"\x82\xa3key\xa1k\xa5value\xa2hi").unwrap();
        assert_eq!(asked.value, blob(b"hi"));
        let (asked, _) = read::<Asked<'_>>(br#"{"key":"\n","value":"h\u0069"}"#).unwrap();
        assert_eq!((&*asked.key, asked.value), ("\n", blob(b"hi")));
        let (asked, _) = read::<Asked<'_>>(br#"{"key":"k","value":null}"#).unwrap();
        assert_eq!(asked.value, None);

        for (format, bytes, expected) in [
            (Format::MessagePack, &b"hi"[..], &b"\x81\xa5value\xc4\x02hi"[..]),
            (Format::Json, b"hi", br#"{"value":"hi"}"#),
            (Format::Json, b"\xff\x00", br#"{"value":{"base64":"/wA="}}"#),
        ] {
            assert_eq!(format.write(&Said { value: bytes.into() }).unwrap(), expected);
        }
    }

    #[test]
    fn an_answer_that_no_host_call_can_carry_is_refused_with_its_format() {
        let large = vec![0xff; 3 << 20];
        assert!(Format::MessagePack.write(&Said { value: large.as_slice().into() }).is_ok());
        let fault = Format::Json.write(&Said { value: large.as_slice().into() }).unwrap_err();
        // The base64 of 3 MiB is 4 MiB, and 23 bytes are around it.
        let expected = "too_large: the answer has 4194327 bytes in JSON, which is larger than MessagePack; \
                        at most 4194304 fit into a host call";
        assert_eq!(fault.to_string(), expected);
        let fault =
            Format::MessagePack.write(&Said { value: vec![0; 4 << 20].as_slice().into() }).unwrap_err();
        assert_eq!(fault.code(), Code::TooLarge);
    }

    #[test]
    fn what_is_no_map_of_known_fields_is_refused_by_name() {
        for (payload, expected) in [
            (&b""[..], "the payload is neither a MessagePack map nor a JSON object"),
            (b"\x92\xa1k\xc4\x00", "the payload is neither a MessagePack map nor a JSON object"),
            (b" {}", "the payload is neither a MessagePack map nor a JSON object"),
            (b"\x82\xa3key\xa1k\xa3ttl\x01", "unknown field `ttl`, expected `key` or `value`"),
            (br#"{"key":"k","ttl":1}"#, "unknown field `ttl`, expected `key` or `value`"),
            (br#"{"value":"v"}"#, "missing field `key`"),
            (br#"{"key":"k","key":"l"}"#, "duplicate field `key`"),
            (br#"{"key":"k"}{"#, "trailing characters"),
            (b"\x81\xa3key\xa1k\x00", "1 bytes follow the value"),
            (br#"{"key":"k","value":{"base64":"/wA"}}"#, "not base64 of the standard alphabet with padding"),
            (br#"{"key":"k","value":{"base64":"","b":1}}"#, "unknown field `b`"),
            (br#"{"key":"k","value":{"hex":""}}"#, "unknown field `hex`, expected `base64`"),
            (br#"{"key":"k","value":[1]}"#, r#"expected text, or an object {"base64": ".."}"#),
            (b"\x82\xa3key\xa1k\xa5value\x01", "expected bytes"),
        ] {
            let fault = read::<Asked<'_>>(payload).unwrap_err();
            assert_eq!(fault.code(), Code::InvalidRequest);
            assert!(fault.text().contains(expected), "{fault} has no {expected:?}");
        }
    }
}
