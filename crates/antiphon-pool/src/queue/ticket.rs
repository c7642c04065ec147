//! A ticket in the queue, and the turn that it waits for.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::places::{Callers, Held, Serves};
use crate::sync::{Mutex, MutexGuard, lock};

/// Why the queue does not serve a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal<F> {
    /// The queue is full.
    Full,
    /// No instance lives, and none can be started.
    Failing(F),
    /// The queue takes no more calls.
    Closed,
    /// The queue was closed, and the grace period for waiting calls is over.
    Cut,
    /// Deadlock: every instance is held by a call that waits, directly or not, for a call in this
    /// queue.
    Circle,
}

/// The result of waiting.
pub(crate) type Turn<T> = Result<Held<T>, Refusal<<T as Serves>::Failure>>;

/// A call that waits in the queue.
pub(super) struct Ticket<T: Serves> {
    standing: Mutex<Standing<T, T::Failure>>,
    /// The calls that wait for the holder of this ticket.
    callers: T::Callers,
}

/// The state of a call that waits.
enum Standing<T, F> {
    Waiting(Waker),
    Granted(Held<T>),
    Refused(Refusal<F>),
    /// The holder of the ticket is gone.
    Left,
}

impl<T: Serves> Ticket<T> {
    pub(super) fn new(waker: Waker, callers: T::Callers) -> Arc<Self> {
        Arc::new(Self { standing: Mutex::new(Standing::Waiting(waker)), callers })
    }

    fn standing(&self) -> MutexGuard<'_, Standing<T, T::Failure>> {
        lock(&self.standing)
    }

    /// Gives the instance to this ticket and returns the waker to call; returns the instance if the
    /// holder has left.
    pub(super) fn grant(&self, held: Held<T>) -> Result<Waker, Held<T>> {
        let mut standing = self.standing();
        match std::mem::replace(&mut *standing, Standing::Left) {
            Standing::Waiting(waker) => {
                *standing = Standing::Granted(held);
                Ok(waker)
            }
            Standing::Left => Err(held),
            Standing::Granted(_) | Standing::Refused(_) => {
                unreachable!("a turn comes once: the ticket has left the queue then")
            }
        }
    }

    /// Refuses this ticket and returns the waker to call; returns `None` if the holder has left.
    pub(super) fn refuse(&self, refusal: Refusal<T::Failure>) -> Option<Waker> {
        let mut standing = self.standing();
        match std::mem::replace(&mut *standing, Standing::Refused(refusal)) {
            Standing::Waiting(waker) => Some(waker),
            other => {
                *standing = other;
                None
            }
        }
    }

    /// Returns the turn if it has come.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Turn<T>> {
        // The waker is cloned before the lock is taken, and the old one is dropped after it is
        // released: both run code of the executor.
        let waker = waker.clone();
        let mut standing = self.standing();
        match std::mem::replace(&mut *standing, Standing::Left) {
            Standing::Waiting(held) => {
                *standing = Standing::Waiting(waker);
                drop(standing);
                drop(held);
                Poll::Pending
            }
            Standing::Granted(held) => Poll::Ready(Ok(held)),
            Standing::Refused(refusal) => Poll::Ready(Err(refusal)),
            Standing::Left => unreachable!("only the holder leaves, and it does not poll after that"),
        }
    }

    /// Removes the holder, and returns what it leaves behind.
    pub(super) fn leave(&self) -> Departure<T> {
        match std::mem::replace(&mut *self.standing(), Standing::Left) {
            Standing::Waiting(waker) => Departure::Queued(waker),
            Standing::Granted(held) => Departure::Granted(held),
            Standing::Refused(_) | Standing::Left => Departure::Done,
        }
    }

    pub(super) fn has_left(&self) -> bool {
        matches!(*self.standing(), Standing::Left)
    }

    /// Returns whether the call in this instance waits for the holder of this ticket, which has not
    /// left.
    pub(super) fn is_awaited_by(&self, instance: u64) -> bool {
        self.callers.include(instance) && !self.has_left()
    }
}

/// What a holder leaves behind.
pub(super) enum Departure<T> {
    /// A ticket in the queue. The waker has to be dropped without a lock.
    Queued(Waker),
    /// An instance for the next call.
    Granted(Held<T>),
    /// Nothing.
    Done,
}
