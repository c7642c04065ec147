//! The parameter types of handlers.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Display;
use core::str::Utf8Error;

/// A parameter type of operations: the payload as bytes or text, borrowed or owned, or a decoded
/// value in `Json` or `MessagePack`. It can also be a `Result` of any of these, for an operation
/// that reports an invalid payload in its own words.
///
/// Borrowed values point into the memory that the request was read into, and live until the
/// operation returns. Implement it for other formats.
#[diagnostic::on_unimplemented(
    message = "an operation cannot take `{Self}`",
    note = "it takes `&[u8]`, `Vec<u8>`, `&str`, `String`, `Json<T>`, `MessagePack<T>`, or a `Result` of these and their error"
)]
pub trait FromRequest<'a>: Sized {
    /// Why a payload is refused. The host gets this text.
    type Error: Display;

    /// Converts the payload, which may be any bytes.
    ///
    /// # Errors
    ///
    /// The payload is not a valid value.
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

/// For an operation that reports an invalid payload in its own words.
///
/// ```
/// use antiphon_guest::{operation, operations};
/// use std::str::Utf8Error;
///
/// #[operation]
/// fn greet(name: Result<&str, Utf8Error>) -> Result<String, &'static str> {
///     let name = name.map_err(|_| "greet wants a name in UTF-8")?;
///     Ok(format!("hello, {name}"))
/// }
///
/// operations![greet];
/// # wapc_init();
/// # use antiphon_guest::testing::call;
/// # assert_eq!(call("greet", b"Ada").unwrap(), b"hello, Ada");
/// # assert_eq!(call("greet", b"\xff").unwrap_err(), "greet wants a name in UTF-8");
/// ```
impl<'a, T: FromRequest<'a>> FromRequest<'a> for Result<T, T::Error> {
    type Error = Infallible;

    #[inline]
    fn from_request(payload: &'a [u8]) -> Result<Self, Infallible> {
        Ok(T::from_request(payload))
    }
}
