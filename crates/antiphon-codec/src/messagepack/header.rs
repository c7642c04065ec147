//! The first bytes of a value: what it is, and how long.

use super::decode::{Fault, Input};
use crate::DecodeErrorKind;

/// A value that has been begun: numbers are read, the contents of the others follow.
#[derive(Clone, Copy)]
pub(super) enum Header {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    /// Bytes of text.
    Str(u32),
    /// Bytes.
    Bin(u32),
    /// Values.
    Array(u32),
    /// Pairs of values.
    Map(u32),
    /// A tag of one byte, then so many bytes.
    Ext(u32),
}

impl Header {
    /// Reads one.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        let [marker] = input.array()?;
        Ok(match marker {
            0x00..=0x7f => Self::Unsigned(marker.into()),
            0x80..=0x8f => Self::Map((marker & 0x0f).into()),
            0x90..=0x9f => Self::Array((marker & 0x0f).into()),
            0xa0..=0xbf => Self::Str((marker & 0x1f).into()),
            0xc0 => Self::Nil,
            0xc1 => return Err(Fault::new(DecodeErrorKind::Malformed, "0xc1 begins no value")),
            0xc2 => Self::Bool(false),
            0xc3 => Self::Bool(true),
            0xc4 => Self::Bin(input.length8()?),
            0xc5 => Self::Bin(input.length16()?),
            0xc6 => Self::Bin(input.length32()?),
            0xc7 => Self::Ext(input.length8()?),
            0xc8 => Self::Ext(input.length16()?),
            0xc9 => Self::Ext(input.length32()?),
            0xca => Self::F32(f32::from_be_bytes(input.array()?)),
            0xcb => Self::F64(f64::from_be_bytes(input.array()?)),
            0xcc => Self::Unsigned(input.length8()?.into()),
            0xcd => Self::Unsigned(input.length16()?.into()),
            0xce => Self::Unsigned(input.length32()?.into()),
            0xcf => Self::Unsigned(u64::from_be_bytes(input.array()?)),
            0xd0 => Self::Signed(i8::from_be_bytes(input.array()?).into()),
            0xd1 => Self::Signed(i16::from_be_bytes(input.array()?).into()),
            0xd2 => Self::Signed(i32::from_be_bytes(input.array()?).into()),
            0xd3 => Self::Signed(i64::from_be_bytes(input.array()?)),
            0xd4 => Self::Ext(1),
            0xd5 => Self::Ext(2),
            0xd6 => Self::Ext(4),
            0xd7 => Self::Ext(8),
            0xd8 => Self::Ext(16),
            0xd9 => Self::Str(input.length8()?),
            0xda => Self::Str(input.length16()?),
            0xdb => Self::Str(input.length32()?),
            0xdc => Self::Array(input.length16()?),
            0xdd => Self::Array(input.length32()?),
            0xde => Self::Map(input.length16()?),
            0xdf => Self::Map(input.length32()?),
            0xe0..=0xff => Self::Signed(i8::from_be_bytes([marker]).into()),
        })
    }
}
