//! Waiting with a deadline and a cancel handle, on any executor or on none.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::{Interrupt, Terms};
use crate::time::{Alarm, Deadline, ticker};

/// Runs a future until it is ready, the deadline passes or the call is cancelled.
///
/// The future is polled first, so that a ready one does not pay for an alarm. The time is checked
/// again after the alarm is registered, so that a deadline that passes in between is not missed.
pub(crate) async fn until<F: Future>(terms: &Terms, future: F) -> Result<F::Output, Interrupt> {
    let mut future = pin!(future);
    let mut alarm: Option<Arc<Alarm>> = None;
    let mut rings_at = terms.deadline.tick;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        match &alarm {
            Some(alarm) => alarm.set(cx.waker()),
            None => alarm = Some(register(terms, cx)),
        }
        if let Some(interrupt) = terms.interrupt() {
            return Poll::Ready(Err(interrupt));
        }
        // The alarm has rung, but the deadline was counted from a late clock and is not over yet.
        if let Some(alarm) = &alarm
            && rings_at <= ticker::now()
        {
            rings_at = ticker::now().saturating_add(1);
            ticker::ring_at(rings_at, Arc::downgrade(alarm));
        }
        Poll::Pending
    })
    .await
}

fn register(terms: &Terms, cx: &Context<'_>) -> Arc<Alarm> {
    let alarm = Arc::new(Alarm::default());
    alarm.set(cx.waker());
    if terms.deadline.tick != ticker::NEVER {
        ticker::ring_at(terms.deadline.tick, Arc::downgrade(&alarm));
    }
    for handle in terms.handles() {
        handle.ring_on_cancel(Arc::downgrade(&alarm));
    }
    alarm
}

/// Waits for a time, in steps of a tick. It never waits for less: a deadline may be early by as
/// much as the tick that it was counted from came late. And it waits for a tick at least, so that a
/// caller that waits for next to nothing gives way.
pub(crate) async fn sleep(duration: Duration) {
    let (since, mut left) = (Instant::now(), duration);
    loop {
        let over = Deadline::after(ticker::now(), ticker::ticks(left), left);
        let _ = until(&Terms::new(over), std::future::pending::<()>()).await;
        left = duration.saturating_sub(since.elapsed());
        if left.is_zero() {
            return;
        }
    }
}

/// Runs a future for `limit` at most. Returns `None` if the time ran out; the future is dropped
/// then. Needs no executor's timer.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let terms = Terms::new(Deadline::after(ticker::now(), ticker::ticks(limit), limit));
    until(&terms, future).await.ok()
}

/// Runs a future on this thread, which parks while the future is pending.
pub fn block_on<F: Future>(future: F) -> F::Output {
    /// Notes that the future was woken. A thread has one token to be unparked by, and another wait
    /// on the thread may use it up while the future is polled.
    struct Unpark {
        thread: Thread,
        woken: AtomicBool,
    }

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }

    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !unpark.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ticker::{OnTick, TICK};

    /// Holds the ticker up once, and sets a flag shortly before it lets it go on.
    struct Stall {
        begun: AtomicBool,
        almost_over: AtomicBool,
    }

    impl OnTick for Stall {
        fn on_tick(&self) {
            if !self.begun.swap(true, Ordering::SeqCst) {
                thread::sleep(TICK * 8);
                self.almost_over.store(true, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    #[test]
    fn a_sleep_that_begins_while_the_clock_is_late_is_not_short() {
        let stall = Arc::new(Stall { begun: AtomicBool::new(false), almost_over: AtomicBool::new(false) });
        ticker::on_each_tick(Arc::downgrade(&stall) as _).unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        while !stall.almost_over.load(Ordering::SeqCst) {
            assert!(Instant::now() < patience, "the hook was never called");
            ticker::now();
        }
        let (began, length) = (Instant::now(), Duration::from_millis(10));
        block_on(sleep(length));
        assert!(began.elapsed() >= length, "{:?}", began.elapsed());
    }
}
