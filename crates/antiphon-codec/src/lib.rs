// The README's example needs this feature.
#![cfg_attr(any(feature = "messagepack", not(doctest)), doc = include_str!("../README.md"))]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(any(feature = "json", feature = "messagepack"))]
mod bounded;
mod codec;
mod error;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "json")]
mod located;
#[cfg(feature = "messagepack")]
mod messagepack;

pub use codec::Codec;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "messagepack")]
pub use messagepack::MessagePack;

/// The deepest nesting of arrays and maps that is decoded.
///
/// Deeper input is refused as [`DecodeErrorKind::TooDeep`], because decoding is recursive and a
/// guest's stack is one mebibyte by default.
pub const MAX_DEPTH: usize = 127;
