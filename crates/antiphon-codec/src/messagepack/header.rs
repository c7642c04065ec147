//! Reads the first bytes of a value: its type and its length.

use super::fault::Fault;
use super::input::Input;
use crate::DecodeErrorKind;

/// The beginning of a value. Numbers are complete; the contents of the other types follow.
#[derive(Clone, Copy)]
pub(super) enum Header {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    /// The number of bytes of text.
    Str(u32),
    /// The number of bytes.
    Bin(u32),
    /// The number of values.
    Array(u32),
    /// The number of pairs.
    Map(u32),
    /// The number of bytes after the tag, which is one byte.
    Ext(u32),
}

impl Header {
    /// Reads a header.
    #[expect(clippy::cast_possible_truncation, reason = "as many bytes were read as the number has")]
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        let marker = input.byte()?;
        // The number of bytes after the marker that form a number: the value itself, or a length.
        let bytes = match marker {
            0xc4 | 0xc7 | 0xcc | 0xd0 | 0xd9 => 1,
            0xc5 | 0xc8 | 0xcd | 0xd1 | 0xda | 0xdc | 0xde => 2,
            0xc6 | 0xc9 | 0xca | 0xce | 0xd2 | 0xdb | 0xdd | 0xdf => 4,
            0xcb | 0xcf | 0xd3 => 8,
            _ => 0,
        };
        let number = input.number(bytes)?;
        let length = number as u32;
        Ok(match marker {
            0x00..=0x7f => Self::Unsigned(marker.into()),
            0x80..=0x8f => Self::Map((marker & 0x0f).into()),
            0x90..=0x9f => Self::Array((marker & 0x0f).into()),
            0xa0..=0xbf => Self::Str((marker & 0x1f).into()),
            0xc0 => Self::Nil,
            0xc1 => return Err(Fault::new(DecodeErrorKind::Malformed, "0xc1 begins no value")),
            0xc2 => Self::Bool(false),
            0xc3 => Self::Bool(true),
            0xc4..=0xc6 => Self::Bin(length),
            0xc7..=0xc9 => Self::Ext(length),
            0xca => Self::F32(f32::from_bits(length)),
            0xcb => Self::F64(f64::from_bits(number)),
            0xcc..=0xcf => Self::Unsigned(number),
            0xd0 => Self::Signed((number as u8).cast_signed().into()),
            0xd1 => Self::Signed((number as u16).cast_signed().into()),
            0xd2 => Self::Signed((number as u32).cast_signed().into()),
            0xd3 => Self::Signed(number.cast_signed()),
            0xd4..=0xd8 => Self::Ext(1 << (marker - 0xd4)),
            0xd9..=0xdb => Self::Str(length),
            0xdc | 0xdd => Self::Array(length),
            0xde | 0xdf => Self::Map(length),
            0xe0..=0xff => Self::Signed(marker.cast_signed().into()),
        })
    }
}
