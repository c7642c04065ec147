//! A borrowed payload read in place: the guest's `__guest_request` copies it from where its caller has it.

use crate::errors::{Error, ErrorKind, Result};

/// Payloads of more bytes are read in place. To say where a payload is costs as much as to copy some hundred bytes.
const WORTHWHILE: usize = 512;

// It borrows from its caller, while a conversation lives in an engine's store and must own what it holds. A guest runs on
// the thread of its caller, or of whoever polls it, so the payload waits there, scoped to the call or to the poll.
scoped_tls_hkt::scoped_thread_local!(static PAYLOAD: for<'a> &'a [u8]);

/// Whether borrowed bytes are better read in place.
#[inline(always)]
pub(crate) fn is_worthwhile(payload: &[u8]) -> bool {
    payload.len() > WORTHWHILE
}

/// Runs a guest whose payload this is.
#[inline]
pub(crate) fn with<R>(payload: &[u8], run: impl FnOnce() -> R) -> R {
    PAYLOAD.set(payload, run)
}

/// The payload of the guest that runs on this thread.
///
/// # Errors
/// The engine runs it on another one.
#[inline]
pub(super) fn with_payload<R>(read: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    if !PAYLOAD.is_set() {
        return Err(elsewhere());
    }
    PAYLOAD.with(read)
}

/// What goes on between a guest and its caller needs them on one thread.
#[cold]
pub(super) fn elsewhere() -> Error {
    Error::new(ErrorKind::Engine, "the engine ran the guest on another thread than its caller's")
}
