//! What is measured: times, and what the process holds of the system's resources. So one test runs
//! after the other.

mod bars;
mod cancel;
mod gone;
mod overhead;
mod replace;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Waits until no other test of this program runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Threads are counted. The ticker's thread stays until the process ends, so it starts here. The
    // runner also starts a thread for a test that waits, and has done so after this time.
    let settled = antiphon::ticker::within(Duration::from_millis(20), std::future::pending::<()>());
    antiphon::block_on(settled);
    alone
}
