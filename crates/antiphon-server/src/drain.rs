//! The order of stopping.

use std::time::Duration;

use tokio::time::Instant;

use crate::start::Started;

/// The time for what is cut off.
const RESERVE: Duration = Duration::from_millis(1500);

/// What had to be cut off when a server stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutOff {
    /// Connections that did not end in time.
    pub connections: usize,
    /// Calls that did not end in time.
    pub calls: usize,
}

/// Stops a server within `grace`: `/readyz` says so, no connection is accepted any more, what was
/// accepted is answered, and the instances are ended. Returns what was cut off at the end.
pub async fn drain(started: Started, grace: Duration) -> CutOff {
    let Started { servers, modules, lock } = started;
    // A call that is cut off takes a moment to end: a pool waits up to a second for it.
    let reserve = (grace / 4).min(RESERVE);
    let end = Instant::now() + grace.saturating_sub(reserve);
    servers.unready();
    let connections = servers.close(end).await;
    // A guest may call another module until its own call is over, so modules end after the calls.
    let drained = modules.stop(end.saturating_duration_since(Instant::now())).await;
    // The next server may have the state from here on.
    drop(lock);
    CutOff { connections, calls: drained.running.saturating_add(drained.queued) }
}
