//! The handle that ends a call from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::survive::{lock, survive};
use crate::time::Alarm;

/// Ends the calls that were made with it, from any thread.
///
/// A call that waits (in a queue, in a host call, in a sleep) ends at once. A call in guest code
/// ends at the next tick. Both end as
/// [`ErrorKind::Cancelled`](crate::errors::ErrorKind::Cancelled). A handle stays used: a call that
/// is made with it later does not begin.
///
/// ```
/// use antiphon::{CancelHandle, Request, WapcHost, errors::ErrorKind, testing::TestEngine};
///
/// let host = WapcHost::new(Box::new(TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()))), None)?;
/// let cancel = CancelHandle::new();
/// cancel.cancel();
/// let error = host.call_with(Request::new("echo", b"hi").cancel(cancel)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Cancelled);
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelHandle {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    waiting: Mutex<Vec<Weak<Alarm>>>,
}

impl CancelHandle {
    /// Creates a handle that has not been used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every call that was made with this handle or a clone of it.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.waiting());
        for alarm in waiting.iter().filter_map(Weak::upgrade) {
            // A waker that panics must not keep the others waiting.
            survive(|| alarm.ring());
        }
    }

    /// Returns whether the handle was used.
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Relaxed)
    }

    /// Rings the alarm when the handle is used. The caller has to check the handle again after
    /// this.
    pub(super) fn ring_on_cancel(&self, alarm: Weak<Alarm>) {
        let mut waiting = self.waiting();
        if waiting.len() == waiting.capacity() {
            waiting.retain(|alarm| alarm.strong_count() > 0);
            // Reserves as much room again as is in use. With less, a handle of many calls would be
            // swept for each of them.
            let used = waiting.len();
            waiting.reserve(used.max(4));
        }
        waiting.push(alarm);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Alarm>>> {
        lock(&self.inner.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[test]
    fn alarms_that_come_and_go_are_swept_out_seldom_however_many_stay() {
        let cancel = CancelHandle::new();
        let staying: Vec<_> = (0..1023).map(|_| Arc::new(Alarm::default())).collect();
        for alarm in &staying {
            cancel.ring_on_cancel(Arc::downgrade(alarm));
        }
        let (mut sweeps, mut most) = (0, 0);
        for _ in 0..10_000 {
            let before = cancel.waiting().len();
            cancel.ring_on_cancel(Arc::downgrade(&Arc::new(Alarm::default())));
            let after = cancel.waiting().len();
            (sweeps, most) = (sweeps + usize::from(after <= before), most.max(after));
        }
        assert!((1..=20).contains(&sweeps) && most <= 4 * staying.len(), "{sweeps} sweeps, {most} at most");
    }

    #[test]
    fn a_waker_that_panics_does_not_keep_the_others_waiting() {
        struct Bomb;
        struct Count(AtomicUsize);

        impl Wake for Bomb {
            fn wake(self: Arc<Self>) {
                panic!("boom");
            }
        }

        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }

        let (cancel, count) = (CancelHandle::new(), Arc::new(Count(AtomicUsize::new(0))));
        let (bomb, calm) = (Arc::new(Alarm::default()), Arc::new(Alarm::default()));
        bomb.set(&Arc::new(Bomb).into());
        calm.set(&Arc::clone(&count).into());
        cancel.ring_on_cancel(Arc::downgrade(&bomb));
        cancel.ring_on_cancel(Arc::downgrade(&calm));
        cancel.cancel();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
