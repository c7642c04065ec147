//! Tests of what the whole process shares: its clock, its subscriber, and warnings that appear
//! once. So one runs after the other.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod late_clock;
mod overflow_warning;
mod warning;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this program runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
