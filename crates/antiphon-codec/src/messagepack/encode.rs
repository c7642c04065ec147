//! Encodes: a serde serializer into a vector.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::ser::{self, Serialize};

/// Why encoding failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl core::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { detail: message.to_string() }
    }
}

/// A serde serializer that appends to a vector.
pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
}

/// The markers of a type that has a length, from the shortest form to the longest.
struct Markers {
    /// The forms with the length inside the marker: the marker for length 0, and the number of such
    /// lengths.
    fixed: (u8, usize),
    /// The form with a length of one byte, for types that have it.
    one: Option<u8>,
    two: u8,
    four: u8,
}

const STR: Markers = Markers { fixed: (0xa0, 32), one: Some(0xd9), two: 0xda, four: 0xdb };
const BIN: Markers = Markers { fixed: (0, 0), one: Some(0xc4), two: 0xc5, four: 0xc6 };
const ARRAY: Markers = Markers { fixed: (0x90, 16), one: None, two: 0xdc, four: 0xdd };
const MAP: Markers = Markers { fixed: (0x80, 16), one: None, two: 0xde, four: 0xdf };

impl Encoder<'_> {
    fn put(&mut self, marker: u8, rest: &[u8]) {
        self.out.push(marker);
        self.out.extend_from_slice(rest);
    }

    fn length(&mut self, length: usize, markers: &Markers) -> Result<(), Fault> {
        let (fixed, count) = markers.fixed;
        if let (true, Ok(short)) = (length < count, u8::try_from(length)) {
            self.out.push(fixed | short);
        } else if let (Some(marker), Ok(length)) = (markers.one, u8::try_from(length)) {
            self.put(marker, &[length]);
        } else if let Ok(length) = u16::try_from(length) {
            self.put(markers.two, &length.to_be_bytes());
        } else if let Ok(length) = u32::try_from(length) {
            self.put(markers.four, &length.to_be_bytes());
        } else {
            return Err(ser::Error::custom("a length of more than 32 bits"));
        }
        Ok(())
    }

    /// Begins a map from a variant's name to its data, which the caller writes next.
    fn variant(&mut self, name: &str) -> Result<(), Fault> {
        self.length(1, &MAP)?;
        ser::Serializer::serialize_str(self, name)
    }
}

impl<'a, 'o> ser::Serializer for &'a mut Encoder<'o> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Entries<'a, 'o>;
    type SerializeTuple = Entries<'a, 'o>;
    type SerializeTupleStruct = Entries<'a, 'o>;
    type SerializeTupleVariant = Entries<'a, 'o>;
    type SerializeMap = Entries<'a, 'o>;
    type SerializeStruct = Entries<'a, 'o>;
    type SerializeStructVariant = Entries<'a, 'o>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fault> {
        self.out.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Fault> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Fault> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Fault> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Fault> {
        if let Ok(value) = u64::try_from(value) {
            return self.serialize_u64(value);
        }
        if let Ok(value) = i8::try_from(value) {
            let [byte] = value.to_be_bytes();
            if value >= -32 { self.out.push(byte) } else { self.put(0xd0, &[byte]) }
        } else if let Ok(value) = i16::try_from(value) {
            self.put(0xd1, &value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.put(0xd2, &value.to_be_bytes());
        } else {
            self.put(0xd3, &value.to_be_bytes());
        }
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fault> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Fault> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Fault> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Fault> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Fault> {
        if let Ok(value) = u8::try_from(value) {
            if value < 0x80 { self.out.push(value) } else { self.put(0xcc, &[value]) }
        } else if let Ok(value) = u16::try_from(value) {
            self.put(0xcd, &value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.put(0xce, &value.to_be_bytes());
        } else {
            self.put(0xcf, &value.to_be_bytes());
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fault> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fault> {
        self.put(0xca, &value.to_be_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        self.put(0xcb, &value.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Fault> {
        self.length(value.len(), &STR)?;
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fault> {
        self.length(value.len(), &BIN)?;
        self.out.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        self.out.push(0xc0);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Fault> {
        self.length(0, &ARRAY)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Fault> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.variant(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Entries<'a, 'o>, Fault> {
        Entries::begin(self, length, &ARRAY)
    }

    fn serialize_tuple(self, length: usize) -> Result<Entries<'a, 'o>, Fault> {
        Entries::begin(self, Some(length), &ARRAY)
    }

    fn serialize_tuple_struct(self, _name: &'static str, length: usize) -> Result<Entries<'a, 'o>, Fault> {
        Entries::begin(self, Some(length), &ARRAY)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Entries<'a, 'o>, Fault> {
        self.variant(variant)?;
        Entries::begin(self, Some(length), &ARRAY)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Entries<'a, 'o>, Fault> {
        Entries::begin(self, length, &MAP)
    }

    fn serialize_struct(self, _name: &'static str, length: usize) -> Result<Entries<'a, 'o>, Fault> {
        Entries::begin(self, Some(length), &MAP)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Entries<'a, 'o>, Fault> {
        self.variant(variant)?;
        Entries::begin(self, Some(length), &MAP)
    }
}

/// The entries of an array or a map.
pub(super) struct Entries<'a, 'o> {
    encoder: &'a mut Encoder<'o>,
    markers: &'static Markers,
    /// The start of the entries and their count so far, if the number was not known in advance.
    uncounted: Option<(usize, usize)>,
}

impl<'a, 'o> Entries<'a, 'o> {
    fn begin(
        encoder: &'a mut Encoder<'o>,
        length: Option<usize>,
        markers: &'static Markers,
    ) -> Result<Self, Fault> {
        let uncounted = match length {
            Some(length) => {
                encoder.length(length, markers)?;
                None
            }
            None => Some((encoder.out.len(), 0)),
        };
        Ok(Self { encoder, markers, uncounted })
    }

    fn entry<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        if let Some((_, count)) = &mut self.uncounted {
            *count += 1;
        }
        value.serialize(&mut *self.encoder)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Fault> {
        ser::Serializer::serialize_str(&mut *self.encoder, key)?;
        value.serialize(&mut *self.encoder)
    }

    /// Inserts the number of entries before them, if it was not known in advance.
    fn finish(self) -> Result<(), Fault> {
        let Some((start, count)) = self.uncounted else { return Ok(()) };
        let entries = self.encoder.out.split_off(start);
        self.encoder.length(count, self.markers)?;
        self.encoder.out.extend_from_slice(&entries);
        Ok(())
    }
}

impl ser::SerializeSeq for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.entry(value)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

impl ser::SerializeTuple for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.entry(value)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.entry(value)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.entry(value)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

impl ser::SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.entry(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

impl ser::SerializeStruct for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Fault> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Entries<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Fault> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}
