//! A waPC guest with one operation, whose request and answer have a field of every type of MessagePack:
//! guests/msgpack/cases.toml is run against it, and against its twins in the other languages.

use std::fmt;

use antiphon_codec::DecodeErrorKind;
use antiphon_guest::prelude::*;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    flag: bool,
    u8: u8,
    u16: u16,
    u32: u32,
    u64: u64,
    i8: i8,
    i16: i16,
    i32: i32,
    i64: i64,
    f32: f32,
    f64: f64,
    text: &'a str,
    #[serde(borrow)]
    bytes: Bytes<'a>,
    list: Vec<i64>,
    #[serde(borrow)]
    map: Pairs<'a>,
    point: Point,
    points: Vec<Point>,
    rows: Vec<Vec<i16>>,
    tree: Tree,
    maybe: Option<i64>,
    maybe_text: Option<&'a str>,
    maybe_point: Option<Point>,
}

/// Bytes, which serde would write as an array of numbers.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// A map in the order of the message.
struct Pairs<'a>(Vec<(&'a str, i64)>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from text to i64")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Takes a record and answers it. A payload that is something else is refused with a text that the twins have, too.
#[operation]
fn types(
    record: Result<MessagePack<Record<'_>>, DecodeError>,
) -> Result<MessagePack<Record<'_>>, &'static str> {
    record.map_err(|error| match error.kind() {
        DecodeErrorKind::Truncated => "msgpack not decoded: the message ends before its value does",
        DecodeErrorKind::Malformed => "msgpack not decoded: a byte begins no value, or text is not UTF-8",
        DecodeErrorKind::Mismatch => "msgpack not decoded: a value is of another type, out of range, or missing",
        DecodeErrorKind::TooDeep => "msgpack not decoded: arrays and maps nest too deep",
        DecodeErrorKind::Trailing => "msgpack not decoded: bytes follow the value",
        _ => "msgpack not decoded: for a reason that this guest does not know",
    })
}

operations![types];
