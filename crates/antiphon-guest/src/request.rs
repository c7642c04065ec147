//! What handlers take.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Display;
use core::str::Utf8Error;

/// What an operation may take: the payload as bytes or as text, borrowed or owned, or a decoded value in `Json` or
/// `MessagePack`.
///
/// What is borrowed is borrowed from the memory that the request was read into, and lives until the operation returns.
/// Implement it for formats of your own.
#[diagnostic::on_unimplemented(
    message = "an operation cannot take `{Self}`",
    note = "it takes `&[u8]`, `Vec<u8>`, `&str`, `String`, `Json<T>` or `MessagePack<T>`"
)]
pub trait FromRequest<'a>: Sized {
    /// Why a payload is refused. The host gets its text.
    type Error: Display;

    /// Makes it of the payload, which may be anything.
    ///
    /// # Errors
    ///
    /// The payload is nothing of the kind.
    fn from_request(payload: &'a [u8]) -> Result<Self, Self::Error>;
}

impl<'a> FromRequest<'a> for &'a [u8] {
    type Error = Infallible;

    #[inline(always)]
    fn from_request(payload: &'a [u8]) -> Result<Self, Infallible> {
        Ok(payload)
    }
}

impl FromRequest<'_> for Vec<u8> {
    type Error = Infallible;

    fn from_request(payload: &[u8]) -> Result<Self, Infallible> {
        Ok(payload.to_vec())
    }
}

impl<'a> FromRequest<'a> for &'a str {
    type Error = Utf8Error;

    fn from_request(payload: &'a [u8]) -> Result<Self, Utf8Error> {
        core::str::from_utf8(payload)
    }
}

impl FromRequest<'_> for String {
    type Error = Utf8Error;

    fn from_request(payload: &[u8]) -> Result<Self, Utf8Error> {
        core::str::from_utf8(payload).map(ToOwned::to_owned)
    }
}
