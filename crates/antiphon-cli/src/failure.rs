//! Everything that makes a command fail.

use std::io;

use antiphon::errors::{BoxError, Error};

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument names something that cannot be used: a file that is not there, say.
    Usage(String, io::Error),
    /// The library's own error.
    Library(Error),
    /// An input over its limit, in bytes; the guest was not called.
    TooLarge(&'static str, u64),
    /// The guest answered, but not in the format that was asked for; with the reason.
    Answer(&'static str, String),
    /// The answer is there, but standard output does not take it.
    Output(io::Error),
    /// The program itself could not get what it needs from the system.
    System(&'static str, io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self::Library(Error::from_engine(error))
    }
}
