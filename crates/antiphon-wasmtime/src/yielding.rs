//! Giving way to the executor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How often a yield is pending before it is ready. Tokio looks at its timers and its sockets only every 61 polls: a
/// guest that yielded once a tick would keep them waiting for 61 ticks.
const POLLS: u8 = 64;

/// A future that is pending for [`POLLS`] polls, waking itself each time.
#[derive(Debug)]
pub(crate) struct Yield(u8);

impl Default for Yield {
    fn default() -> Self {
        Self(POLLS)
    }
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                self.0 = left;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
