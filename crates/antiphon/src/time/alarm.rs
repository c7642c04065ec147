//! A waker that others can ring: the ticker at a deadline, a handle when it cancels.
//!
//! A waker is never called under a lock. It may run its task at once, and the task may come back to
//! where it was woken.

use std::sync::Mutex;
use std::task::Waker;

use crate::survive::lock;

/// Holds the waker of a waiter until it is rung.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    waker: Mutex<Option<Waker>>,
}

impl Alarm {
    pub(crate) fn set(&self, waker: &Waker) {
        // Cloned before and dropped after the lock: both run the executor's code.
        let waker = waker.clone();
        let old = lock(&self.waker).replace(waker);
        drop(old);
    }

    /// Wakes the waiter once. A waiter that still waits sets its waker again.
    pub(crate) fn ring(&self) {
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_waker_that_runs_its_task_at_once_finds_the_alarm_unlocked() {
        /// Sets the alarm again inside its wake, as a task that is polled there does.
        struct Inline(Arc<Alarm>);

        impl Wake for Inline {
            fn wake(self: Arc<Self>) {
                self.0.set(Waker::noop());
            }
        }

        let (done, rung) = mpsc::channel();
        // On a thread of its own: if the alarm were locked, this would never end.
        thread::spawn(move || {
            let alarm = Arc::new(Alarm::default());
            alarm.set(&Arc::new(Inline(Arc::clone(&alarm))).into());
            alarm.ring();
            done.send(())
        });
        rung.recv_timeout(Duration::from_secs(20)).expect("the waker was called under the lock");
    }
}
