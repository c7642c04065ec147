//! What handlers return.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Display;

use crate::imports::{guest_error, guest_response};

/// Proof that a request was answered, well or ill: what an [`Operation`](crate::Operation) ends with.
#[derive(Debug)]
#[must_use = "the host is told by what `__guest_call` returns"]
pub struct Answered {
    well: bool,
}

impl Answered {
    /// Hands these bytes to the host as the answer.
    #[inline(always)]
    pub fn success(bytes: &[u8]) -> Self {
        guest_response(bytes);
        Self { well: true }
    }

    /// Hands the text of an error to the host.
    #[cold]
    pub fn failure(error: &dyn Display) -> Self {
        Self::failure_of(error.to_string().as_bytes())
    }

    /// The same for a text in bytes, which need not be UTF-8.
    pub(crate) fn failure_of(text: &[u8]) -> Self {
        guest_error(text);
        Self { well: false }
    }

    /// Whether it was answered well.
    #[inline(always)]
    pub(crate) fn is_well(&self) -> bool {
        self.well
    }
}

/// What an operation may return: bytes, text, `()` for an empty answer, an encodable value in `Json` or
/// `MessagePack`, and the `Result` of any of them with any error that implements `Display`.
///
/// Implement it for formats of your own.
#[diagnostic::on_unimplemented(
    message = "an operation cannot return `{Self}`",
    note = "it returns bytes, text, `()`, `Json<T>`, `MessagePack<T>`, or a `Result` of these whose error implements `Display`"
)]
pub trait IntoResponse {
    /// Hands the answer to the host.
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
