use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use serde::de::value::SeqDeserializer;
use serde::de::{self, Visitor};
use serde::ser::{self, Impossible};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};

use crate::{Codec, DecodeError, DecodeErrorKind, EncodeError};

/// The name of the codec, in its errors as well.
const NAME: &str = "raw";

/// No format at all: bytes and text are the payload as they are.
///
/// For types that are bytes or text themselves: `&[u8]`, `Vec<u8>`, `&str`, `String`, arrays of bytes, what `serde_bytes`
/// wraps, new types of these, and `()` for an empty payload. Everything else is refused.
///
/// ```
/// use antiphon_codec::{Codec, Raw};
///
/// assert_eq!(Raw.encode("as it is").unwrap(), b"as it is");
/// assert_eq!(Raw.decode::<&[u8]>(b"\x00\xff").unwrap(), b"\x00\xff");
/// assert!(Raw.decode::<&str>(b"\x00\xff").is_err());
/// assert!(Raw.encode(&7.5).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode_into<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        value.serialize(&mut Writer { out }).map_err(|Refused(error)| error)
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, DecodeError> {
        T::deserialize(Reader { bytes }).map_err(|Unread(error)| error)
    }
}

/// An encoding error as serde wants it.
#[derive(Debug)]
struct Refused(EncodeError);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(EncodeError::new(NAME, message))
    }
}

/// A decoding error as serde wants it.
#[derive(Debug)]
struct Unread(DecodeError);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Unread {}

impl de::Error for Unread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(DecodeError::new(
            NAME,
            DecodeErrorKind::Mismatch,
            0,
            crate::error::bounded(&message.to_string()),
        ))
    }
}

/// A deserializer that has one value: all of the bytes.
struct Reader<'de> {
    bytes: &'de [u8],
}

impl<'de> Reader<'de> {
    fn text(self) -> Result<&'de str, Unread> {
        core::str::from_utf8(self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            Unread(DecodeError::new(NAME, DecodeErrorKind::Malformed, at, "expected text in UTF-8"))
        })
    }
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Unread;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_borrowed_bytes(self.bytes)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        if self.bytes.is_empty() { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        let mut bytes = SeqDeserializer::new(self.bytes.iter().copied());
        let value = visitor.visit_seq(&mut bytes)?;
        bytes.end()?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_seq(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit_struct tuple_struct map struct
        enum identifier ignored_any
    }
}

/// A serializer that appends bytes and text.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

/// Methods that refuse what is no bytes.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $result:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$result, Refused> {
            Err(ser::Error::custom("expected bytes or text"))
        }
    )*};
}

impl<'a, 'o> ser::Serializer for &'a mut Writer<'o> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Bytes<'a, 'o>;
    type SerializeTuple = Bytes<'a, 'o>;
    type SerializeTupleStruct = Impossible<(), Refused>;
    type SerializeTupleVariant = Impossible<(), Refused>;
    type SerializeMap = Impossible<(), Refused>;
    type SerializeStruct = Impossible<(), Refused>;
    type SerializeStructVariant = Impossible<(), Refused>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Refused> {
        self.out.extend_from_slice(value);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Refused> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_unit(self) -> Result<(), Refused> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Bytes<'a, 'o>, Refused> {
        Ok(Bytes { writer: self })
    }

    fn serialize_tuple(self, _length: usize) -> Result<Bytes<'a, 'o>, Refused> {
        Ok(Bytes { writer: self })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _value: &T) -> Result<(), Refused> {
        Err(ser::Error::custom("expected bytes or text"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Refused> {
        Err(ser::Error::custom("expected bytes or text"))
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_none() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), Refused>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<(), Refused>;
        serialize_map(Option<usize>) -> Impossible<(), Refused>;
        serialize_struct(&'static str, usize) -> Impossible<(), Refused>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), Refused>;
    }
}

/// A sequence, of which each element must be a byte.
struct Bytes<'a, 'o> {
    writer: &'a mut Writer<'o>,
}

impl Bytes<'_, '_> {
    fn byte<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let byte = value.serialize(Byte)?;
        self.writer.out.push(byte);
        Ok(())
    }
}

impl ser::SerializeSeq for Bytes<'_, '_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.byte(value)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl ser::SerializeTuple for Bytes<'_, '_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.byte(value)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

/// A serializer of one byte.
struct Byte;

impl ser::Serializer for Byte {
    type Ok = u8;
    type Error = Refused;
    type SerializeSeq = Impossible<u8, Refused>;
    type SerializeTuple = Impossible<u8, Refused>;
    type SerializeTupleStruct = Impossible<u8, Refused>;
    type SerializeTupleVariant = Impossible<u8, Refused>;
    type SerializeMap = Impossible<u8, Refused>;
    type SerializeStruct = Impossible<u8, Refused>;
    type SerializeStructVariant = Impossible<u8, Refused>;

    fn serialize_u8(self, value: u8) -> Result<u8, Refused> {
        Ok(value)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _value: &T) -> Result<u8, Refused> {
        Err(ser::Error::custom("expected bytes or text"))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<u8, Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<u8, Refused> {
        Err(ser::Error::custom("expected bytes or text"))
    }

    refuse! {
        serialize_bool(bool) -> u8;
        serialize_i8(i8) -> u8;
        serialize_i16(i16) -> u8;
        serialize_i32(i32) -> u8;
        serialize_i64(i64) -> u8;
        serialize_u16(u16) -> u8;
        serialize_u32(u32) -> u8;
        serialize_u64(u64) -> u8;
        serialize_f32(f32) -> u8;
        serialize_f64(f64) -> u8;
        serialize_char(char) -> u8;
        serialize_str(&str) -> u8;
        serialize_bytes(&[u8]) -> u8;
        serialize_none() -> u8;
        serialize_unit() -> u8;
        serialize_unit_struct(&'static str) -> u8;
        serialize_unit_variant(&'static str, u32, &'static str) -> u8;
        serialize_seq(Option<usize>) -> Impossible<u8, Refused>;
        serialize_tuple(usize) -> Impossible<u8, Refused>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<u8, Refused>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<u8, Refused>;
        serialize_map(Option<usize>) -> Impossible<u8, Refused>;
        serialize_struct(&'static str, usize) -> Impossible<u8, Refused>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<u8, Refused>;
    }
}
