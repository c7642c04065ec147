//! What keeps others' panics from spreading: code that is not ours runs on our threads, and between our locks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::errors::{Error, ErrorKind};

/// Locks a mutex, poisoned or not. Nothing in this crate panics between two states of what it guards.
#[inline]
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code of somebody else's (a waker, a hook, a destructor) where its panic must not reach whoever happens to run it: it
/// is logged, and that is all. Every deadline of the program hangs on the ticker's thread, for one.
pub fn survive(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        drop_panic(panic);
        // A subscriber is somebody else's code too.
        let logged = catch_unwind(
            || tracing::error!(target: "antiphon", "a waker, a hook, a recorder or a destructor panicked; whoever ran it goes on"),
        );
        logged.unwrap_or_else(drop_panic);
    }
}

/// Drops what a panic carries, whose destructor may panic in turn. What it then panics with is left alone: its own may, too.
pub(crate) fn drop_panic(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}

/// A caught panic of the host's own code.
#[cold]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = Error::new(
        ErrorKind::HostPanicked,
        format!("a handler of the host panicked: {}", text.unwrap_or("no message")),
    );
    drop_panic(panic);
    error
}
