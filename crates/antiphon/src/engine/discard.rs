//! Where an instance is dropped after a trap, a deadline, a cancel or another end that may leave it
//! half changed: in synchronous calls, and in asynchronous ones that run without being suspended. A
//! call that may be suspended drops its instance by `Running` (`provider_async.rs`), also when its
//! future is dropped.

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
