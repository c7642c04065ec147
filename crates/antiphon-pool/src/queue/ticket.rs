//! A place in the queue, and the turn that comes to it.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::places::{Callers, Held, Serves};
use crate::sync::{Mutex, MutexGuard, lock};

/// Why the queue serves no one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal<F> {
    /// It is full.
    Full,
    /// No instance lives, and none can be started.
    Failing(F),
    /// It takes no one any more.
    Closed,
    /// It was closed, and the patience with those who still waited is at its end.
    Cut,
    /// Every place would be held by a call that waits for one who waits here.
    Circle,
}

/// What comes of waiting.
pub(crate) type Turn<T> = Result<Held<T>, Refusal<<T as Serves>::Failure>>;

/// One who waits.
pub(super) struct Ticket<T: Serves> {
    standing: Mutex<Standing<T, T::Failure>>,
    /// Who waits for its holder.
    callers: T::Callers,
}

/// How it stands with one who waits.
enum Standing<T, F> {
    Waiting(Waker),
    Granted(Held<T>),
    Refused(Refusal<F>),
    /// Its holder is gone.
    Left,
}

impl<T: Serves> Ticket<T> {
    pub(super) fn new(waker: Waker, callers: T::Callers) -> Arc<Self> {
        Arc::new(Self { standing: Mutex::new(Standing::Waiting(waker)), callers })
    }

    fn standing(&self) -> MutexGuard<'_, Standing<T, T::Failure>> {
        lock(&self.standing)
    }

    /// Gives the value to this ticket, with its waker to be woken, or back where its holder has left.
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

    /// Refuses this ticket; the waker is to be woken. `None` where its holder has left.
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

    /// Looks whether the turn has come.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Turn<T>> {
        // Cloned before and dropped after the lock: both are code of the executor's.
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

    /// The holder leaves: with what it was granted, or whether it still stands in the queue.
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

    /// Whether the call of that instance waits for one who still waits here.
    pub(super) fn is_awaited_by(&self, instance: u64) -> bool {
        self.callers.include(instance) && !self.has_left()
    }
}

/// What somebody leaves behind.
pub(super) enum Departure<T> {
    /// A ticket in the queue; the waker is to be dropped without a lock.
    Queued(Waker),
    /// Something for the next one.
    Granted(Held<T>),
    /// Nothing.
    Done,
}
