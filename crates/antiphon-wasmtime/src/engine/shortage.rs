//! Errors of Wasmtime that say that the machine lacks something.

use std::error::Error as StdError;
use std::fmt;

use antiphon::errors::{Error, Resource};

use super::system_info;

/// Converts an error of Wasmtime, if the system refused something. `purpose` says what it was for.
///
/// # Errors
/// Returns the error unchanged if it says anything else.
#[cold]
pub(crate) fn shortage(error: wasmtime::Error, purpose: impl fmt::Display) -> Result<Error, wasmtime::Error> {
    match lacked(&error) {
        Some(resource) => Ok(Error::out_of_resources(resource, purpose).with_source(error)),
        None => Err(error),
    }
}

/// Returns what the machine lacks, if that is why Wasmtime failed.
#[cold]
pub(crate) fn lacked(error: &wasmtime::Error) -> Option<Resource> {
    if error.is::<wasmtime::OutOfMemory>() {
        return Some(Resource::Memory);
    }
    error.chain().find_map(lacked_by)
}

/// Returns what the machine lacks, if an error or one of its sources says so.
#[cold]
pub(crate) fn lacked_by(error: &(dyn StdError + 'static)) -> Option<Resource> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(resource) = system_info::lacked(error) {
            return Some(resource);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn purpose(error: wasmtime::Error) -> Result<Error, wasmtime::Error> {
        shortage(error, "a test")
    }

    #[test]
    fn an_error_that_is_no_shortage_stays_what_it_is() {
        for error in [
            wasmtime::Error::msg("a type does not match"),
            wasmtime::Error::from(wasmtime::Trap::StackOverflow),
            wasmtime::Error::from(io::Error::from(io::ErrorKind::UnexpectedEof)).context("reading"),
        ] {
            let text = error.to_string();
            assert_eq!(purpose(error).unwrap_err().to_string(), text);
        }
    }
}
