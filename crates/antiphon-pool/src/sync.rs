//! The atomics and locks that the queue is built on. The model checks replace this module with one
//! of loom's types (`tests/model.rs`).

pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use antiphon::ticker::survive;

use std::cell::Cell;
use std::sync::PoisonError;

use crossbeam_utils::atomic::AtomicCell;

/// Locks. Foreign code that panics under one of these locks leaves nothing half changed, so a
/// poisoned lock still guards valid data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a value or nothing. Each method is one atomic exchange, and each exchange is ordered after
/// the one before it.
pub(crate) struct Slot<T>(AtomicCell<Option<Box<T>>>);

impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self(AtomicCell::new(None))
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.0.take()
    }

    /// Fills the slot. It has to be empty, which holds because each slot has one value.
    #[inline]
    pub(crate) fn put(&self, value: Box<T>) {
        drop(self.0.swap(Some(value)));
    }
}

thread_local! {
    static HINT: Cell<usize> = const { Cell::new(0) };
}

/// Returns the place that this thread used last, in whatever pool.
#[inline]
pub(crate) fn hint() -> usize {
    HINT.get()
}

/// Remembers a place for the next time.
#[inline]
pub(crate) fn set_hint(place: usize) {
    HINT.set(place);
}
