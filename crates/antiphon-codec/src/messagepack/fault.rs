//! Why decoding stopped.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use serde::de::{self, Expected, Unexpected};

use super::path;
use crate::bounded::bounded;
use crate::{DecodeError, DecodeErrorKind};

/// Why decoding stopped. The size is one pointer, because the result of decoding every value
/// carries it.
#[derive(Debug)]
pub(super) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: DecodeErrorKind,
    /// Offset in bytes; unknown until the innermost value that failed sets it.
    offset: Option<usize>,
    detail: String,
}

impl Fault {
    #[cold]
    pub(super) fn new(kind: DecodeErrorKind, detail: impl fmt::Display) -> Self {
        Self::of(kind, &detail)
    }

    /// Creates a fault. It takes `dyn Display`, so that a guest contains this code once and not
    /// once per kind of text.
    #[cold]
    #[inline(never)]
    fn of(kind: DecodeErrorKind, detail: &dyn fmt::Display) -> Self {
        Self(Box::new(Inner { kind, offset: None, detail: bounded(&detail.to_string()) }))
    }

    /// Sets the offset, unless it is set already.
    #[cold]
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Converts the fault into an error of the named codec. `bytes` are the input, in which the
    /// field is looked up.
    #[cold]
    #[inline(never)]
    pub(super) fn into_error(self, codec: &'static str, bytes: &[u8]) -> DecodeError {
        let Inner { kind, offset, detail } = *self.0;
        let offset = offset.unwrap_or(0);
        DecodeError::new(codec, kind, offset, detail).in_field(path::at(bytes, offset))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl core::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(DecodeErrorKind::Mismatch, &message)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(
            DecodeErrorKind::Mismatch,
            &format_args!("invalid type: {}, expected {expected}", Found(found)),
        )
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(
            DecodeErrorKind::Mismatch,
            &format_args!("invalid value: {}, expected {expected}", Found(found)),
        )
    }
}

/// Writes what was found in serde's words, with two exceptions: the values of floating point
/// numbers, and escapes of characters beyond ASCII. Formatting the former and telling which of the
/// latter are printable would take 20 kilobytes of a guest.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Unexpected::Bool(true) => "boolean `true`",
            Unexpected::Bool(false) => "boolean `false`",
            Unexpected::Unsigned(number) => return write!(f, "integer `{number}`"),
            Unexpected::Signed(number) => return write!(f, "integer `{number}`"),
            Unexpected::Float(_) => "floating point number",
            Unexpected::Char(letter) => return write!(f, "character `{letter}`"),
            Unexpected::Str(text) => return quote(text, f),
            Unexpected::Bytes(_) => "byte array",
            Unexpected::Unit => "unit value",
            Unexpected::Option => "Option value",
            Unexpected::NewtypeStruct => "newtype struct",
            Unexpected::Seq => "sequence",
            Unexpected::Map => "map",
            Unexpected::Enum => "enum",
            Unexpected::UnitVariant => "unit variant",
            Unexpected::NewtypeVariant => "newtype variant",
            Unexpected::TupleVariant => "tuple variant",
            Unexpected::StructVariant => "struct variant",
            Unexpected::Other(other) => other,
        })
    }
}

/// Writes text between quotation marks, on one line.
fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("string \"")?;
    // Cut first, so that a long text is not written in full only to be cut afterwards.
    for letter in bounded(text).chars() {
        if letter.is_control() || letter == '"' || letter == '\\' {
            for escaped in letter.escape_default() {
                f.write_char(escaped)?;
            }
        } else {
            f.write_char(letter)?;
        }
    }
    f.write_char('"')
}
