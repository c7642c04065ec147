//! Values of MessagePack that JSON lacks, as JSON objects with one marked key. What is shown can be
//! given back: each mark is encoded as what it was decoded from.
//!
//! | JSON | MessagePack |
//! |---|---|
//! | `{"$bin_text": "hi"}` | a binary that is UTF-8 |
//! | `{"$bin_base64": "AP8="}` | any other binary |
//! | `{"$ext": [5, "AQI="]}` | an extension: its type, its bytes in base64 |
//! | `{"$map": [[1, "a"]]}` | a map with a key that is no text, or twice the same, or a mark |
//! | `{"$float": "NaN"}` | NaN; `inf` and `-inf` are the infinities |
//! | `{"$empty": true}` | no bytes at all |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Number, Value, json};

use antiphon_codec::{Codec as _, MessagePack};

use super::forms::Unfit;

const BIN_TEXT: &str = "$bin_text";
const BIN_BASE64: &str = "$bin_base64";
const EXT: &str = "$ext";
const MAP: &str = "$map";
const FLOAT: &str = "$float";
const EMPTY: &str = "$empty";
const MARKS: [&str; 6] = [BIN_TEXT, BIN_BASE64, EXT, MAP, FLOAT, EMPTY];

/// Decodes a value that must use all of the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, Unfit> {
    if bytes.is_empty() {
        return Ok(no_bytes());
    }
    let decoded = MessagePack.decode(bytes);
    decoded.map(|Marked(value)| value).map_err(|error| Unfit(error.to_string()))
}

/// Encodes a value.
pub(super) fn encode(value: &Value) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::new();
    if *value != no_bytes() {
        write(value, &mut out)?;
    }
    Ok(out)
}

/// Returns what stands for an answer without a byte.
pub(crate) fn no_bytes() -> Value {
    json!({ EMPTY: true })
}

/// Returns the mark of an object and what it marks.
fn mark(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, content) = object.iter().next()?;
    MARKS.contains(&name.as_str()).then_some((name, content))
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Unfit> {
    if let Some((name, content)) = mark(value) {
        return write_marked(name, content, out);
    }
    match value {
        Value::Array(items) => {
            put_length(items.len(), (0x90, 0xdc), out)?;
            items.iter().try_for_each(|item| write(item, out))
        }
        Value::Object(fields) => {
            put_length(fields.len(), (0x80, 0xde), out)?;
            fields.iter().try_for_each(|(name, value)| {
                plain(name, out)?;
                write(value, out)
            })
        }
        leaf => plain(leaf, out),
    }
}

fn write_marked(name: &str, content: &Value, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let unfit =
        |expected: &str| Unfit(format!("{name} needs {expected}, found {:.100}", content.to_string()));
    match (name, content) {
        (BIN_TEXT, Value::String(text)) => plain(&Binary(text.as_bytes()), out),
        (BIN_TEXT, _) => Err(unfit("a text")),
        (BIN_BASE64, content) => plain(&Binary(&of_base64(content).ok_or_else(|| unfit("base64"))?), out),
        (EXT, content) => {
            let (kind, bytes) = extension(content).ok_or_else(|| unfit("[type from -128 to 127, base64]"))?;
            put_extension(kind, &bytes, out)
        }
        (MAP, content) => {
            let pairs = pairs(content).ok_or_else(|| unfit("a list of pairs"))?;
            put_length(pairs.len(), (0x80, 0xde), out)?;
            pairs.into_iter().flatten().try_for_each(|part| write(part, out))
        }
        (FLOAT, content) => {
            let number = match content.as_str() {
                Some("NaN") => f64::NAN,
                Some("inf") => f64::INFINITY,
                Some("-inf") => f64::NEG_INFINITY,
                _ => return Err(unfit("NaN, inf or -inf")),
            };
            plain(&number, out)
        }
        _ => Err(Unfit(format!("{name} stands for no bytes at all, so it cannot be part of a value"))),
    }
}

fn of_base64(content: &Value) -> Option<Vec<u8>> {
    BASE64.decode(content.as_str()?).ok()
}

fn extension(content: &Value) -> Option<(i8, Vec<u8>)> {
    let [kind, bytes] = content.as_array()?.as_slice() else { return None };
    Some((i8::try_from(kind.as_i64()?).ok()?, of_base64(bytes)?))
}

fn pairs(content: &Value) -> Option<Vec<&[Value; 2]>> {
    content.as_array()?.iter().map(|pair| pair.as_array()?.as_slice().try_into().ok()).collect()
}

fn plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Unfit> {
    MessagePack.encode_into(value, out).map_err(|error| Unfit(error.to_string()))
}

/// Writes the length of an array or a map: in one byte with `few`, or with two or four bytes behind
/// `many` or the marker after it.
fn put_length(length: usize, (few, many): (u8, u8), out: &mut Vec<u8>) -> Result<(), Unfit> {
    if let Some(short) = u8::try_from(length).ok().filter(|length| *length < 16) {
        out.push(few | short);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(many);
        out.extend(length.to_be_bytes());
    } else {
        out.push(many.wrapping_add(1));
        out.extend(wide(length)?);
    }
    Ok(())
}

/// Writes an extension, which the codec only reads.
fn put_extension(kind: i8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Unfit> {
    match bytes.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        length => {
            if let Ok(length) = u8::try_from(length) {
                out.extend([0xc7, length]);
            } else if let Ok(length) = u16::try_from(length) {
                out.push(0xc8);
                out.extend(length.to_be_bytes());
            } else {
                out.push(0xc9);
                out.extend(wide(length)?);
            }
        }
    }
    out.extend(kind.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn wide(length: usize) -> Result<[u8; 4], Unfit> {
    let length = u32::try_from(length).map_err(|_| Unfit("a length of more than 32 bits".to_owned()))?;
    Ok(length.to_be_bytes())
}

/// Bytes that are encoded as a binary.
struct Binary<'a>(&'a [u8]);

impl Serialize for Binary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A JSON value with marks, deserialised from MessagePack.
struct Marked(Value);

impl<'de> Deserialize<'de> for Marked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MarkedVisitor).map(Self)
    }
}

struct MarkedVisitor;

impl<'de> Visitor<'de> for MarkedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        let finite = Number::from_f64(number).map(Value::Number);
        Ok(finite.unwrap_or_else(|| json!({ FLOAT: number.to_string() })))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => json!({ BIN_TEXT: text }),
            Err(_) => json!({ BIN_BASE64: BASE64.encode(bytes) }),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        // The codec presents an extension as a sequence, the only one whose length it does not say.
        if items.size_hint().is_none()
            && let Some(kind) = items.next_element::<i8>()?
        {
            let bytes: &[u8] = items.next_element()?.unwrap_or_default();
            return Ok(json!({ EXT: [kind, BASE64.encode(bytes)] }));
        }
        let mut all = Vec::new();
        while let Some(Marked(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Marked(key), Marked(value))) = fields.next_entry()? {
            pairs.push((key, value));
        }
        Ok(map(pairs))
    }
}

/// Returns a map as an object, where one can hold it: with keys that are texts, each once, and that
/// no mark looks like.
fn map(mut pairs: Vec<(Value, Value)>) -> Value {
    let mut object = Map::new();
    for (key, value) in &pairs {
        if let Value::String(name) = key {
            object.insert(name.clone(), value.clone());
        }
    }
    let object = Value::Object(object);
    if object.as_object().is_some_and(|object| object.len() == pairs.len()) && mark(&object).is_none() {
        return object;
    }
    // In an order of their own, as the fields of an object are: guests write maps in any order.
    pairs.sort_by_cached_key(|(key, _)| match (key.as_i64(), key.as_u64()) {
        (Some(number), _) => (0, i128::from(number), String::new()),
        (None, Some(number)) => (0, i128::from(number), String::new()),
        _ => (1, 0, key.to_string()),
    });
    let pairs: Vec<Value> = pairs.into_iter().map(|(key, value)| Value::Array(vec![key, value])).collect();
    json!({ MAP: pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_lacks_is_shown_with_a_mark_and_given_back_as_it_was() {
        for (bytes, shown) in [
            (&b""[..], json!({ "$empty": true })),
            (b"\xc0", json!(null)),
            (b"\xc4\x02hi", json!({ "$bin_text": "hi" })),
            (b"\xc4\x00", json!({ "$bin_text": "" })),
            (b"\xc4\x02\x00\xff", json!({ "$bin_base64": "AP8=" })),
            (b"\xd5\x05\x01\x02", json!({ "$ext": [5, "AQI="] })),
            (b"\xc7\x03\xff\x01\x02\x03", json!({ "$ext": [-1, "AQID"] })),
            (b"\xc7\x00\x05", json!({ "$ext": [5, ""] })),
            // An array of a number and a binary is no extension.
            (b"\x92\x05\xc4\x01\xff", json!([5, { "$bin_base64": "/w==" }])),
            (b"\x82\x01\xa1a\x0a\xc0", json!({ "$map": [[1, "a"], [10, null]] })),
            (b"\x82\x01\xa1a\xa1b\x02", json!({ "$map": [[1, "a"], ["b", 2]] })),
            // The key is there twice.
            (b"\x82\xa1a\x01\xa1a\x02", json!({ "$map": [["a", 1], ["a", 2]] })),
            // A guest's own key that looks like a mark.
            (b"\x81\xa4$map\x01", json!({ "$map": [["$map", 1]] })),
            (b"\x82\xa4$map\x01\xa1x\x02", json!({ "$map": 1, "x": 2 })),
            (b"\x91\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", json!([{ "$float": "inf" }])),
            (b"\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", json!({ "$float": "-inf" })),
            (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", json!({ "$float": "NaN" })),
            (b"\x81\xa1a\x81\xc3\x90", json!({ "a": { "$map": [[true, []]] } })),
        ] {
            assert_eq!(decode(bytes).unwrap(), shown, "{bytes:?}");
            assert_eq!(encode(&shown).unwrap(), bytes, "{shown}");
        }
    }

    #[test]
    fn long_ones_are_given_back_too() {
        for length in [15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let array = json!(vec![1; length]);
            assert_eq!(encode(&array).unwrap(), MessagePack.encode(&array).unwrap(), "{length}");
            let map: Map<String, Value> = (0..length).map(|n| (n.to_string(), json!(n))).collect();
            let map = Value::Object(map);
            assert_eq!(encode(&map).unwrap(), MessagePack.encode(&map).unwrap(), "{length}");
            let extension = json!({ "$ext": [7, BASE64.encode(vec![9; length])] });
            assert_eq!(decode(&encode(&extension).unwrap()).unwrap(), extension, "{length}");
        }
    }

    #[test]
    fn the_order_of_a_map_makes_no_difference() {
        let one = decode(b"\x83\x0a\x01\x02\x02\xa1a\x03").unwrap();
        assert_eq!(one, json!({ "$map": [[2, 2], [10, 1], ["a", 3]] }));
        assert_eq!(decode(b"\x83\xa1a\x03\x02\x02\x0a\x01").unwrap(), one);
    }

    #[test]
    fn what_a_mark_cannot_stand_for_is_refused_with_what_it_needs() {
        for (wrong, reason) in [
            (json!({ "$bin_text": 1 }), "$bin_text needs a text, found 1"),
            (json!({ "$bin_base64": "A" }), "$bin_base64 needs base64"),
            (json!({ "$ext": [128, ""] }), "$ext needs [type from -128 to 127, base64]"),
            (json!({ "$map": [[1]] }), "$map needs a list of pairs"),
            (json!({ "$float": "1.5" }), "$float needs NaN, inf or -inf"),
            (json!([{ "$empty": true }]), "$empty stands for no bytes at all"),
            (json!({ "$empty": false }), "$empty stands for no bytes at all"),
        ] {
            let Unfit(said) = encode(&wrong).unwrap_err();
            assert!(said.starts_with(reason), "{said}");
        }
    }
}
