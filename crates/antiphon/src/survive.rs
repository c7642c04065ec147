//! What keeps others' panics from spreading: code that is not ours runs on our threads, and between
//! our locks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::errors::{Error, ErrorKind};

/// Locks a mutex, poisoned or not. Nothing in this crate panics between two states of what it
/// guards.
#[inline]
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs foreign code (a waker, a hook, a destructor) whose panic must not reach its caller. The
/// panic is logged and dropped.
///
/// Foreign code runs in whichever call comes by, or on a thread that many depend on. Every deadline
/// of the program hangs on the ticker's thread, for example, and an instance that a pool does not
/// get back is lost forever.
pub fn survive(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        drop_panic(panic);
        // A subscriber of `tracing` is foreign code too.
        let logged = catch_unwind(
            || tracing::error!(target: "antiphon", "a waker, a hook, a recorder or a destructor panicked; its caller goes on"),
        );
        logged.unwrap_or_else(drop_panic);
    }
}

/// Warns once, if the program is built with `panic = "abort"`: then nothing can catch a panic of
/// its handlers, and one ends the process.
#[cold]
pub(crate) fn warn_where_panics_abort() {
    static WARNED: Once = Once::new();
    if cfg!(panic = "abort") {
        WARNED.call_once(|| {
            tracing::warn!(
                target: "antiphon",
                "this program is built with `panic = \"abort\"`: a panic of a handler ends the process and not only its \
                 call; build it with `panic = \"unwind\"`, or make sure that no handler panics"
            );
        });
    }
}

/// Drops the payload of a panic, whose destructor may panic in turn. The payload of that second
/// panic is leaked, because its destructor may panic as well.
pub(crate) fn drop_panic(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}

/// Turns a caught panic of the host's own code into an error.
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
