//! An answer read in place: a closure from the caller that runs inside `__guest_response`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::payload_in_place;
use crate::call::reentrancy;
use crate::errors::Result;
use crate::survive::panicked;

// The closure borrows from its caller's stack, but a conversation lives in an engine's store and
// must own what it holds. The guest of a synchronous host runs on its caller's thread, so the
// closure waits in a thread-local, scoped to the call.
scoped_tls_hkt::scoped_thread_local!(static mut READER: for<'a> &'a mut dyn FnMut(&[u8]));

/// Runs a call, with a closure for its answers.
pub(crate) fn with<R>(reader: &mut dyn FnMut(&[u8]), call: impl FnOnce() -> R) -> R {
    READER.set(reader, call)
}

/// Gives an answer to the closure of the host's running call.
pub(super) fn give(host: u64, answer: &[u8]) -> Result<()> {
    if !READER.is_set() {
        return Err(payload_in_place::elsewhere());
    }
    let _running = reentrancy::enter(host);
    catch_unwind(AssertUnwindSafe(|| READER.with(|reader| reader(answer)))).map_err(panicked)
}
