//! A waker that others can ring: the ticker at a deadline, a handle when it cancels.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// Holds the waker of whoever waits, until it is rung.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    waker: Mutex<Option<Waker>>,
}

impl Alarm {
    pub(crate) fn set(&self, waker: &Waker) {
        // Cloned before and dropped after the lock: both are code of the executor's.
        let waker = waker.clone();
        let old = self.waker.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        drop(old);
    }

    /// Wakes once; a waiter that is still interested sets its waker again.
    pub(crate) fn ring(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
