//! The hosts whose handlers run on this thread right now.
//!
//! Only a call that finds its host busy looks into the list, so the common path does not pay for a
//! search. A task that a handler spawned runs outside the list; only `HostCall::caller` tells it on
//! whose behalf it calls.

use std::cell::RefCell;

thread_local! {
    static RUNNING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Reads or changes the list. Returns `None` on a thread that ends and has dropped its list
/// already: a destructor may still call a host there.
#[inline]
fn with<R>(look: impl FnOnce(&mut Vec<u64>) -> R) -> Option<R> {
    RUNNING.try_with(|running| look(&mut running.borrow_mut())).ok()
}

/// Returns whether a handler of this host is running on this thread, further out on the stack.
pub(crate) fn is_running(host: u64) -> bool {
    with(|running| running.contains(&host)).unwrap_or(false)
}

/// Returns the hosts whose handlers are running on this thread.
pub(crate) fn running() -> Vec<u64> {
    with(|running| running.clone()).unwrap_or_default()
}

/// Marks a handler of the host as running until the mark is dropped: around a call of the handler,
/// or around one poll of its future.
pub(crate) fn enter(host: u64) -> Running {
    with(|running| running.push(host));
    Running(())
}

pub(crate) struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        with(Vec::pop);
    }
}
