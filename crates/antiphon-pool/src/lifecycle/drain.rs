//! The end of a pool that serves.

use std::time::Duration;

use antiphon::{block_on, ticker};

use crate::pool::HostPool;

/// How long calls that were cut off have to be gone. A guest is, after a tick or two; a call that nobody polls never is,
/// until it is dropped.
const GONE: Duration = Duration::from_secs(1);

/// What a drain cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Calls that still ran at the end of the grace. They end in [`Cancelled`](antiphon::errors::ErrorKind::Cancelled).
    pub running: usize,
    /// Calls that still waited. They end in the same, and never began.
    pub queued: usize,
}

impl HostPool {
    /// Takes no more calls, waits for those that it has, for as long as the grace, and frees everything. What then still
    /// runs or waits is cut off. Calls that the handlers of running calls make are parts of those, and are taken until then.
    ///
    /// A guest is cut off where it waits, or at its next tick. What cannot be (a handler that blocks its thread, an engine that
    /// was told not to interrupt guests, a call whose future nobody polls) ends by its deadline or when it is dropped; it is
    /// counted, and waited for a second at most.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await: the pool takes no more calls, and nothing is cut off.
    pub async fn drain(&self, grace: Duration) -> Drained {
        let inner = &*self.inner;
        inner.queue.close();
        if ticker::within(grace, inner.queue.ended()).await.is_some() {
            // What a replacement is starting aside serves nobody any more.
            inner.blueprint.stop.cancel();
            return Drained::default();
        }
        let queued = inner.queue.cut();
        let running = inner.queue.counts().busy;
        inner.blueprint.stop.cancel();
        // Not waited for any longer: the future of such a call may be one that nobody polls.
        let _ = ticker::within(GONE, inner.queue.ended()).await;
        Drained { running, queued }
    }

    /// [`drain`](Self::drain) on a thread that has no runtime.
    pub fn drain_blocking(&self, grace: Duration) -> Drained {
        block_on(self.drain(grace))
    }
}
