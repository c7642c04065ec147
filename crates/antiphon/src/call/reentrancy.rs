//! Which hosts' handlers run on this thread right now.

use std::cell::RefCell;

thread_local! {
    static RUNNING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Reads or changes the list; `None` on a thread that ends and has dropped it. There a destructor of somebody's may still
/// call a host, and nothing is known.
#[inline]
fn with<R>(look: impl FnOnce(&mut Vec<u64>) -> R) -> Option<R> {
    RUNNING.try_with(|running| look(&mut running.borrow_mut())).ok()
}

/// Whether a handler of this host is running, further out, on this thread. Looked up only where a host is busy.
pub(crate) fn is_running(host: u64) -> bool {
    with(|running| running.contains(&host)).unwrap_or(false)
}

/// The hosts whose handlers are running on this thread.
pub(crate) fn running() -> Vec<u64> {
    with(|running| running.clone()).unwrap_or_default()
}

/// Marks a handler of the host as running until dropped: around a call of a handler, or one poll of its future.
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
