//! A guest that runs on a stack of its own, in a future that never ends: it waits for a call, runs
//! it, and waits for the next one.
//!
//! A future for each call would borrow the instance, would have to be boxed, and would be polled
//! inside two state machines. This future owns the instance. A call whose guest does not wait is
//! one poll of it, before the caller's state machine begins.
//!
//! So the guest may run before its task is known. A relay is its waker, and wakes the task that
//! polled last. For that reason a handler's future that keeps its first waker is woken too.
//!
//! One stack for many calls, instead of one for each call, was measured in two forms (a loop in
//! wasm that waits in an import, or at an epoch) and was not cheaper.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use antiphon::Conversation;
use antiphon::errors::{Error, ErrorKind};

use super::drop_on_fiber;
use crate::instance::Guest;
use crate::lock::lock;

/// A guest, and the future that runs its calls.
pub(in crate::instance) struct Resident {
    running: Pin<Box<dyn Future<Output = Infallible> + Send>>,
    /// The conversation that stays with the host while a call runs.
    spare: Option<Box<Conversation>>,
    /// The relay as a waker, which the guest's futures wake.
    waker: Waker,
    relay: Arc<Relay>,
}

/// A call that has ended: its conversation, and its result.
struct Ended {
    conversation: Box<Conversation>,
    returned: Result<i32, Error>,
}

thread_local! {
    /// Passes a call from the host to the future that it is about to poll, and the result back.
    /// Both are empty at all other times. They are never dropped, because a thread that ends may
    /// still make calls.
    static CALL: Cell<Option<ManuallyDrop<Box<Conversation>>>> = const { Cell::new(None) };
    static ENDED: Cell<Option<ManuallyDrop<Ended>>> = const { Cell::new(None) };
}

/// Runs call after call.
async fn reside(mut guest: Guest) -> Infallible {
    // The poll that ends one call never begins another.
    let mut polled_anew = true;
    loop {
        let mut conversation = poll_fn(|_| {
            if !mem::replace(&mut polled_anew, true) {
                return Poll::Pending;
            }
            CALL.take().map_or(Poll::Pending, |call| Poll::Ready(ManuallyDrop::into_inner(call)))
        })
        .await;
        let returned = guest.run_suspending(&mut conversation).await;
        ENDED.set(Some(ManuallyDrop::new(Ended { conversation, returned })));
        polled_anew = false;
    }
}

impl Resident {
    pub(super) fn new(guest: Guest, spare: Box<Conversation>) -> Self {
        let relay = Arc::new(Relay::default());
        Self {
            running: Box::pin(reside(guest)),
            spare: Some(spare),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }

    pub(in crate::instance) fn into_spare(mut self) -> Option<Box<Conversation>> {
        self.spare.take()
    }

    /// Runs a call until it ends or has to wait.
    #[inline]
    pub(in crate::instance) fn begin(
        &mut self,
        conversation: &mut Box<Conversation>,
    ) -> Option<Result<i32, Error>> {
        /// Drops a call that was not taken because the future panicked, so that no other future
        /// finds it.
        struct Untaken;

        impl Drop for Untaken {
            fn drop(&mut self) {
                drop(CALL.take().map(ManuallyDrop::into_inner));
            }
        }

        let Some(spare) = self.spare.take() else {
            let what = "a call that waits was not continued: the instance has to be started again";
            return Some(Err(Error::new(ErrorKind::Engine, what)));
        };
        CALL.set(Some(ManuallyDrop::new(mem::replace(conversation, spare))));
        let untaken = Untaken;
        let ended = self.poll(conversation);
        mem::forget(untaken);
        ended
    }

    /// Runs the rest of a call that [`begin`](Self::begin) has begun, or the whole call.
    ///
    /// # Cancel safety
    /// Dropping the future drops the call as [`Guest::run_suspending`] does.
    pub(in crate::instance) async fn go_on(
        &mut self,
        conversation: &mut Box<Conversation>,
    ) -> Result<i32, Error> {
        // The call has not begun: a host that sees the provider through a wrapper may use only this
        // method.
        if self.spare.is_some()
            && let Some(ended) = self.begin(conversation)
        {
            return ended;
        }
        let relay = Lent(Arc::clone(&self.relay));
        let mut first = true;
        poll_fn(|cx| {
            relay.set(cx.waker());
            // What the guest waits for may have come since it began to wait.
            if !relay.is_woken() && mem::take(&mut first) {
                return Poll::Pending;
            }
            first = false;
            self.poll(conversation).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    #[inline]
    fn poll(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, Error>> {
        let Poll::Pending = self.running.as_mut().poll(&mut Context::from_waker(&self.waker));
        let ended = ManuallyDrop::into_inner(ENDED.take()?);
        self.spare = Some(mem::replace(conversation, ended.conversation));
        Some(ended.returned)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        drop_on_fiber(mem::replace(&mut self.running, Box::pin(pending())));
    }
}

/// Wakes the task of the running call. The guest is polled before its task is known, and what it
/// waits for keeps one waker throughout.
#[derive(Default)]
struct Relay {
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Relay {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        lock(&self.task)
    }
}

/// The relay during a call that waits. Its drop forgets the task, because neither an idle instance
/// nor what the guest waited for may keep a finished task alive.
struct Lent(Arc<Relay>);

impl Lent {
    fn set(&self, waker: &Waker) {
        // The waker is cloned before the lock is taken, and the old one is dropped after it is
        // released: both run code of the executor.
        let waker = waker.clone();
        let known = self.0.task().replace(waker);
        drop(known);
    }

    /// Returns whether the relay was woken since the last call of this method.
    fn is_woken(&self) -> bool {
        self.0.woken.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let known = self.0.task().take();
        drop(known);
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        // Called without the lock, because a waker may run any code.
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}
