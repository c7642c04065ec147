//! Decodes: a serde deserializer over a byte slice.

use core::fmt;

use serde::de::value::{BorrowedBytesDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::header::Header;
use super::input::Input;
use crate::{DecodeErrorKind, MAX_DEPTH};

/// The type that was requested, if it changes how a value is presented.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    /// A sequence: a binary is presented as a sequence of numbers too.
    Sequence,
    /// Bytes: text does not have to be UTF-8.
    Bytes,
    /// A unit struct, which is encoded as an empty array.
    Unit,
    /// A 128-bit number, which is encoded as a binary of 16 bytes.
    Wide,
}

/// A serde deserializer over one input.
pub(super) struct Decoder<'de> {
    input: Input<'de>,
    /// The number of arrays and maps that are open.
    depth: usize,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { input: Input::new(bytes), depth: 0 }
    }

    /// Fails if bytes follow the value.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.input.left() {
            0 => Ok(()),
            left => Err(Fault::new(DecodeErrorKind::Trailing, format_args!("{left} bytes follow the value"))
                .at(self.input.at())),
        }
    }

    /// Runs `read`, and gives its fault the offset where the value began.
    fn placed<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R, Fault>) -> Result<R, Fault> {
        let start = self.input.at();
        read(self).map_err(|fault| fault.at(start))
    }

    /// Runs `read` for the contents of an array or a map, one level deeper.
    fn nested<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R, Fault>) -> Result<R, Fault> {
        if self.depth >= MAX_DEPTH {
            let detail = format_args!("arrays and maps nest deeper than {MAX_DEPTH}");
            return Err(Fault::new(DecodeErrorKind::TooDeep, detail));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn value<V: Visitor<'de>>(&mut self, visitor: V, wanted: Wanted) -> Result<V::Value, Fault> {
        self.placed(|decoder| decoder.value_of(visitor, wanted))
    }

    fn value_of<V: Visitor<'de>>(&mut self, visitor: V, wanted: Wanted) -> Result<V::Value, Fault> {
        match Header::read(&mut self.input)? {
            Header::Nil => visitor.visit_unit(),
            Header::Bool(value) => visitor.visit_bool(value),
            Header::Unsigned(value) => visitor.visit_u64(value),
            Header::Signed(value) => visitor.visit_i64(value),
            Header::F32(value) => visitor.visit_f32(value),
            Header::F64(value) => visitor.visit_f64(value),
            Header::Str(length) => {
                let bytes = self.input.take(length)?;
                match core::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) if wanted == Wanted::Bytes => visitor.visit_borrowed_bytes(bytes),
                    Err(error) => Err(Fault::new(
                        DecodeErrorKind::Malformed,
                        format_args!("text is not UTF-8: {error}"),
                    )),
                }
            }
            Header::Bin(length) => {
                let bytes = self.input.take(length)?;
                match (wanted, bytes.first_chunk::<16>()) {
                    (Wanted::Sequence, _) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
                    (Wanted::Wide, Some(&wide)) if bytes.len() == 16 => {
                        visitor.visit_i128(i128::from_be_bytes(wide))
                    }
                    _ => visitor.visit_borrowed_bytes(bytes),
                }
            }
            Header::Array(0) if wanted == Wanted::Unit => visitor.visit_unit(),
            Header::Array(length) => self.contents(length, 1, |contents| visitor.visit_seq(contents)),
            Header::Map(length) => self.contents(length, 2, |contents| visitor.visit_map(contents)),
            Header::Ext(length) => {
                let tag = self.input.byte()?;
                let data = self.input.take(length)?;
                visitor.visit_seq(Extension { tag: Some(tag.cast_signed()), data: Some(data) })
            }
        }
    }

    /// Reads `length` entries of an array or a map; each entry has `values` values.
    fn contents<R>(
        &mut self,
        length: u32,
        values: usize,
        read: impl FnOnce(&mut Contents<'_, 'de>) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        self.input.has_entries(length, values)?;
        self.nested(|decoder| {
            let mut contents = Contents { decoder, left: length };
            let value = read(&mut contents)?;
            match contents.left {
                0 => Ok(value),
                left => Err(Fault::new(
                    DecodeErrorKind::Mismatch,
                    format_args!("{length} entries, expected {}", length.saturating_sub(left)),
                )),
            }
        })
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Fault;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Any)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(
            |decoder| {
                if decoder.input.take_nil() { visitor.visit_none() } else { visitor.visit_some(decoder) }
            },
        )
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.placed(|decoder| {
            let start = decoder.input.at();
            match Header::read(&mut decoder.input)? {
                Header::Map(1) => {
                    decoder.nested(|decoder| visitor.visit_enum(Variant { decoder, has_data: true }))
                }
                Header::Str(_) | Header::Unsigned(_) => {
                    decoder.input.back_to(start);
                    visitor.visit_enum(Variant { decoder, has_data: false })
                }
                Header::Map(length) => Err(de::Error::invalid_length(
                    usize::try_from(length).unwrap_or(usize::MAX),
                    &"a map of one entry, from a variant's name to its data",
                )),
                _ => Err(de::Error::custom("expected the name of a variant, or a map from it to its data")),
            }
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Unit)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Sequence)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Sequence)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Sequence)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Bytes)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, Wanted::Wide)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(Unsigned128(visitor), Wanted::Wide)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(|decoder| {
            decoder.input.skip()?;
            visitor.visit_unit()
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit struct map identifier
    }
}

/// A visitor that passes the 16 bytes of a 128-bit number on as unsigned.
struct Unsigned128<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Unsigned128<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<V::Value, E> {
        self.0.visit_u64(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<V::Value, E> {
        self.0.visit_i64(value)
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<V::Value, E> {
        self.0.visit_u128(value.cast_unsigned())
    }
}

/// The contents of an array or a map, with the number of entries left.
struct Contents<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u32,
}

/// The most entries that serde is told to make room for. By what an array claims, serde would make
/// room for up to 1 MiB of values for each that is open, and 127 may be open at once.
const MOST_HINTED: u32 = 32;

impl Contents<'_, '_> {
    fn hint(&self) -> Option<usize> {
        usize::try_from(self.left.min(MOST_HINTED)).ok()
    }

    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'de> de::SeqAccess<'de> for &mut Contents<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if self.next() { seed.deserialize(&mut *self.decoder).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::MapAccess<'de> for &mut Contents<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if self.next() { seed.deserialize(&mut *self.decoder).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// An extension type, presented as a pair of tag and bytes.
struct Extension<'de> {
    tag: Option<i8>,
    data: Option<&'de [u8]>,
}

impl<'de> de::SeqAccess<'de> for Extension<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if let Some(tag) = self.tag.take() {
            return seed.deserialize(IntoDeserializer::<Fault>::into_deserializer(tag)).map(Some);
        }
        let Some(data) = self.data.take() else { return Ok(None) };
        seed.deserialize(BorrowedBytesDeserializer::new(data)).map(Some)
    }
}

/// An enum variant: its name, and possibly its data.
struct Variant<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    has_data: bool,
}

impl<'a, 'de> Variant<'a, 'de> {
    /// Returns the decoder, positioned at the variant's data.
    fn data(self, expected: &str) -> Result<&'a mut Decoder<'de>, Fault> {
        if self.has_data {
            Ok(self.decoder)
        } else {
            Err(de::Error::invalid_type(Unexpected::UnitVariant, &expected))
        }
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let variant = seed.deserialize(&mut *self.decoder)?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        if self.has_data { de::Deserialize::deserialize(self.decoder) } else { Ok(()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.data("newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_tuple(self.data("tuple variant")?, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(self.data("struct variant")?, visitor)
    }
}
