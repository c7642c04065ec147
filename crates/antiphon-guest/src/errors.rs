//! Errors, with the names of `wapc-guest`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The result of a handler for [`register_function`](crate::register_function), and of a host call.
pub type CallResult = Result<Vec<u8>, Box<dyn core::error::Error + Sync + Send>>;

/// The result of a handler that returns a `T`.
pub type HandlerResult<T> = Result<T, Box<dyn core::error::Error + Sync + Send>>;

/// An error of this crate.
pub struct Error(ErrorKind);

/// What went wrong.
pub enum ErrorKind {
    /// The host refused a call with this text.
    HostError(Vec<u8>),
}

/// Creates an error of that kind.
#[must_use]
pub fn new(kind: ErrorKind) -> Error {
    Error(kind)
}

impl Error {
    /// Returns the host's text, without the prefix that `Display` adds.
    #[must_use]
    pub fn host_text(&self) -> String {
        let ErrorKind::HostError(text) = &self.0;
        String::from_utf8_lossy(text).into_owned()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorKind::HostError(text) = &self.0;
        write!(f, "Host error: {}", String::from_utf8_lossy(text))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Shows the bytes as text, because a guest that unwraps a failed host call panics with this
/// output.
impl fmt::Debug for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::HostError(text) = self;
        write!(f, "HostError({})", String::from_utf8_lossy(text))
    }
}

impl core::error::Error for Error {}
