//! Where an instance is dropped after a trap, a deadline, a cancel or another end that may leave it
//! half changed. An asynchronous call whose future is dropped drops its instance by `Running`, in
//! the provider for such calls.

use crate::errors::{Error, Fate};

/// Drops an instance that must not be used again at once, with its memory: the host may be idle for
/// long.
#[cold]
pub(super) fn discard<I>(instance: &mut Option<I>, error: Error) -> Error {
    if error.fate() == Fate::Discarded {
        *instance = None;
    }
    error
}
