//! A future that gives way to the executor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How many polls of a yield are pending before it is ready. Tokio looks at its timers and sockets
/// only every 61 polls: a guest that yielded once a tick would keep them waiting for 61 ticks.
const POLLS: u8 = 64;

/// Gives way to the executor: a future that is pending for some polls, wakes itself each time, and
/// is then ready.
///
/// An asynchronous engine awaits one at each tick that passes while guest code runs. So a guest in
/// a loop starves none of the executor's other tasks, timers and sockets.
///
/// # Cancel safety
/// Dropping it does nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Yield(u8);

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Wake, Waker};

    #[test]
    fn a_yield_outlasts_the_polls_after_which_tokio_looks_at_its_timers_and_wakes_itself_for_each() {
        #[derive(Default)]
        struct Count(AtomicU32);

        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut giving_way = Box::pin(Yield::default());
        let mut pending = 0;
        while giving_way.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            pending += 1;
            assert_eq!(count.0.load(Ordering::Relaxed), pending);
        }
        assert!((61..=100).contains(&pending), "pending for {pending} polls");
    }
}
