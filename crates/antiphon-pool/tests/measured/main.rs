//! What is measured: times, and what the process holds of the system's resources. So one test runs
//! after the other.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod bars;
mod cancel;
mod crew;
mod gone;
mod overhead;
mod replace;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon::Isolation;

/// Waits until no other test of this program runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Threads are counted. Those of the compiler and of the ticker stay until the process ends, so
    // they start here. The runner also starts a thread for the test that waits next, and has done
    // so after this time.
    for engine in support::engines() {
        drop(support::factory(engine, Isolation::Reuse));
    }
    let settled = antiphon::ticker::within(Duration::from_millis(20), std::future::pending::<()>());
    antiphon::block_on(settled);
    alone
}
