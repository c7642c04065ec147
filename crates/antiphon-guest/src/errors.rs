//! Errors, named as in `wapc-guest`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What a handler of [`register_function`](crate::register_function) answers, and what a call of the host does.
pub type CallResult = Result<Vec<u8>, Box<dyn core::error::Error + Sync + Send>>;

/// The result of a handler that answers a `T`.
pub type HandlerResult<T> = Result<T, Box<dyn core::error::Error + Sync + Send>>;

/// An error of this crate.
pub struct Error(ErrorKind);

/// What went wrong.
pub enum ErrorKind {
    /// The host answered a call with an error, of this text.
    HostError(Vec<u8>),
}

/// An error of that kind.
#[must_use]
pub fn new(kind: ErrorKind) -> Error {
    Error(kind)
}

impl Error {
    /// What the host said, without what `Display` puts in front of it.
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

/// With the text as text: it is what a guest panics with that unwraps a call of the host.
impl fmt::Debug for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::HostError(text) = self;
        write!(f, "HostError({})", String::from_utf8_lossy(text))
    }
}

impl core::error::Error for Error {}
