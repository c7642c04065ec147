//! What the queue is built on, in one place: the model checks put their own in its stead (`tests/model.rs`).

pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use antiphon::ticker::survive;

use std::cell::Cell;
use std::sync::PoisonError;

use crossbeam_utils::atomic::AtomicCell;

/// Locks. Code of others that panics under one of these locks leaves nothing half changed, so a lock is as good after it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a value or nothing. Both methods are one exchange, and each is ordered after the one before it.
pub(crate) struct Slot<T>(AtomicCell<Option<Box<T>>>);

impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self(AtomicCell::new(None))
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.0.take()
    }

    /// The slot has to be empty: there is one value for each.
    #[inline]
    pub(crate) fn put(&self, value: Box<T>) {
        drop(self.0.swap(Some(value)));
    }
}

thread_local! {
    static HINT: Cell<usize> = const { Cell::new(0) };
}

/// The slot that this thread had last, of whatever pool.
#[inline]
pub(crate) fn hint() -> usize {
    HINT.get()
}

/// Remembers a slot for the next time.
#[inline]
pub(crate) fn set_hint(place: usize) {
    HINT.set(place);
}
