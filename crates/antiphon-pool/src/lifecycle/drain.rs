//! Ends a pool that serves calls.

use std::time::Duration;

use antiphon::{block_on, ticker};

use crate::pool::HostPool;

/// How long a drain waits for the calls that it cut off. A guest stops after a tick or two; a call
/// that is never polled stays until it is dropped.
const GONE: Duration = Duration::from_secs(1);

/// What a drain cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Calls that still ran when the grace period ended. They end with
    /// [`Cancelled`](antiphon::errors::ErrorKind::Cancelled).
    pub running: usize,
    /// Calls that still waited when the grace period ended. They end with the same error, and never
    /// began.
    pub queued: usize,
}

impl HostPool {
    /// Drains the pool: it takes no more calls, waits up to `grace` for the calls that it has, and
    /// frees everything. Calls that still run or wait after that are cut off. A call that the
    /// handler of a running call makes is a part of that call, so the pool takes such calls until
    /// the grace period ends.
    ///
    /// A guest is cut off where it waits, or at its next tick. Some calls cannot be cut off: those
    /// whose handler blocks its thread, whose engine was told not to interrupt guests, or whose
    /// future is not polled. They end by their deadline or when they are dropped. `drain` counts
    /// them and waits for them for at most one second.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await. The pool then takes no more calls, and no call is
    /// cut off.
    pub async fn drain(&self, grace: Duration) -> Drained {
        let inner = &*self.inner;
        inner.queue.close();
        if ticker::within(grace, inner.queue.ended()).await.is_some() {
            // Also stops instances that a replacement is starting: they would never serve.
            inner.blueprint.stop.cancel();
            return Drained::default();
        }
        let queued = inner.queue.cut();
        let running = inner.queue.counts().busy;
        inner.blueprint.stop.cancel();
        // The drain gives up after this wait, because the future of such a call may never be
        // polled.
        let _ = ticker::within(GONE, inner.queue.ended()).await;
        Drained { running, queued }
    }

    /// Drains the pool as [`drain`](Self::drain) does, on a thread that has no runtime.
    pub fn drain_blocking(&self, grace: Duration) -> Drained {
        block_on(self.drain(grace))
    }
}
