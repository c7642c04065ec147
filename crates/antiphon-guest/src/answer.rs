//! The return types of handlers.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Display;

use crate::imports::{guest_error, guest_response};

/// Proof that a request got an answer or an error. Every [`Operation`](crate::Operation) returns
/// one.
#[derive(Debug)]
#[must_use = "the host is told by what `__guest_call` returns"]
pub struct Answered {
    well: bool,
}

impl Answered {
    /// Sends these bytes to the host as the answer.
    #[inline(always)]
    pub fn success(bytes: &[u8]) -> Self {
        guest_response(bytes);
        Self { well: true }
    }

    /// Sends the text of an error to the host.
    #[cold]
    pub fn failure(error: &dyn Display) -> Self {
        Self::failure_of(error.to_string().as_bytes())
    }

    /// Sends an error whose text is bytes, which do not have to be UTF-8.
    pub(crate) fn failure_of(text: &[u8]) -> Self {
        guest_error(text);
        Self { well: false }
    }

    /// Returns whether the request got an answer, and not an error.
    #[inline(always)]
    pub(crate) fn is_well(&self) -> bool {
        self.well
    }
}

/// A return type of operations: bytes, text, `()` for an empty answer, an encodable value in `Json`
/// or `MessagePack`, or a `Result` of these with any error that implements `Display`.
///
/// Implement it for other formats.
#[diagnostic::on_unimplemented(
    message = "an operation cannot return `{Self}`",
    note = "it returns bytes, text, `()`, `Json<T>`, `MessagePack<T>`, or a `Result` of these whose error implements `Display`"
)]
pub trait IntoResponse {
    /// Sends the answer to the host.
    fn respond(self) -> Answered;
}

impl IntoResponse for &[u8] {
    #[inline(always)]
    fn respond(self) -> Answered {
        Answered::success(self)
    }
}

impl IntoResponse for Vec<u8> {
    fn respond(self) -> Answered {
        Answered::success(&self)
    }
}

impl IntoResponse for Box<[u8]> {
    fn respond(self) -> Answered {
        Answered::success(&self)
    }
}

impl<const N: usize> IntoResponse for [u8; N] {
    fn respond(self) -> Answered {
        Answered::success(&self)
    }
}

impl<const N: usize> IntoResponse for &[u8; N] {
    fn respond(self) -> Answered {
        Answered::success(self)
    }
}

impl IntoResponse for Cow<'_, [u8]> {
    fn respond(self) -> Answered {
        Answered::success(&self)
    }
}

impl IntoResponse for &str {
    fn respond(self) -> Answered {
        Answered::success(self.as_bytes())
    }
}

impl IntoResponse for String {
    fn respond(self) -> Answered {
        Answered::success(self.as_bytes())
    }
}

impl IntoResponse for Cow<'_, str> {
    fn respond(self) -> Answered {
        Answered::success(self.as_bytes())
    }
}

impl IntoResponse for () {
    fn respond(self) -> Answered {
        Answered::success(&[])
    }
}

impl IntoResponse for Infallible {
    fn respond(self) -> Answered {
        match self {}
    }
}

impl<T: IntoResponse, E: Display> IntoResponse for Result<T, E> {
    #[inline]
    fn respond(self) -> Answered {
        match self {
            Ok(value) => value.respond(),
            Err(error) => Answered::failure(&error),
        }
    }
}
