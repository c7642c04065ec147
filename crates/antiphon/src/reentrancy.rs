//! Which hosts' handlers run on this thread right now.

use std::cell::RefCell;

thread_local! {
    static RUNNING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Whether a handler of this host is running, further out, on this thread. Looked up only where a host is busy.
pub(crate) fn is_running(host: u64) -> bool {
    RUNNING.with_borrow(|running| running.contains(&host))
}

/// The hosts whose handlers are running on this thread.
pub(crate) fn running() -> Vec<u64> {
    RUNNING.with_borrow(Clone::clone)
}

/// Marks a handler of the host as running until dropped: around a call of a handler, or one poll of its future.
pub(crate) fn enter(host: u64) -> Running {
    RUNNING.with_borrow_mut(|running| running.push(host));
    Running(())
}

pub(crate) struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
    }
}
