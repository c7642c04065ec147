//! A borrowed payload read in place: the guest's `__guest_request` copies it from where its caller
//! has it.

use crate::errors::{Error, ErrorKind, Result};

/// Payloads of more bytes are read in place. Saying where a payload lies costs as much as copying
/// some hundred bytes.
const WORTHWHILE: usize = 512;

// The payload borrows from its caller, but a conversation lives in an engine's store and must own
// what it holds. A guest runs on its caller's thread and within the call, or within one poll of it.
// So the payload waits in a thread-local, scoped to the call or to the poll.
scoped_tls_hkt::scoped_thread_local!(static PAYLOAD: for<'a> &'a [u8]);

/// Returns whether a borrowed payload is better read in place.
#[inline(always)]
pub(crate) fn is_worthwhile(payload: &[u8]) -> bool {
    payload.len() > WORTHWHILE
}

/// Runs a guest that has this payload.
#[inline]
pub(crate) fn with<R>(payload: &[u8], run: impl FnOnce() -> R) -> R {
    PAYLOAD.set(payload, run)
}

/// Reads the payload of the guest that runs on this thread.
///
/// # Errors
/// The engine runs the guest on another thread.
#[inline]
pub(super) fn with_payload<R>(read: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    if !PAYLOAD.is_set() {
        return Err(elsewhere());
    }
    PAYLOAD.with(read)
}

/// Returns the error of an engine that runs a guest on another thread than its caller's.
#[cold]
pub(super) fn elsewhere() -> Error {
    Error::new(ErrorKind::Engine, "the engine ran the guest on another thread than its caller's")
}
