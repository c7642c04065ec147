//! Every reason why a command can fail.

use std::io;

use antiphon::errors::{BoxError, Error};

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument cannot be used: it names a file that does not exist, for example.
    Usage(String, io::Error),
    /// The library's own error.
    Library(Error),
    /// An input is over its limit, in bytes, which `--payload` raises. The guest was not called.
    TooLarge(&'static str, u64),
    /// The guest answered, but its answer cannot be decoded by the codec of this name; with the
    /// reason.
    Answer(&'static str, String),
    /// The command succeeded, but standard output does not accept its result.
    Output(io::Error),
    /// The system refused something that the program itself needs.
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
