//! A ticket in the queue, and the turn that it waits for.

use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

use crate::queue::{Callers, Serves};
use crate::sync::{Mutex, MutexGuard};

/// An instance, with the place of the pool that it fills.
pub(crate) struct Held<T> {
    pub(crate) place: usize,
    pub(crate) value: Box<T>,
}

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

/// A call that waits in the queue.
pub(crate) struct Ticket<T: Serves> {
    turn: Mutex<Turn<T, T::Failure>>,
    /// The calls that wait for the holder of this ticket.
    callers: T::Callers,
}

/// The state of a call that waits.
enum Turn<T, F> {
    Waiting(Waker),
    Granted(Held<T>),
    Refused(Refusal<F>),
    /// The holder of the ticket is gone.
    Left,
}

impl<T: Serves> Ticket<T> {
    pub(crate) fn new(waker: Waker, callers: T::Callers) -> Arc<Self> {
        Arc::new(Self { turn: Mutex::new(Turn::Waiting(waker)), callers })
    }

    fn turn(&self) -> MutexGuard<'_, Turn<T, T::Failure>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the instance to this ticket and returns the waker to call; returns the instance if the
    /// holder has left.
    pub(crate) fn grant(&self, held: Held<T>) -> Result<Waker, Held<T>> {
        let mut turn = self.turn();
        match std::mem::replace(&mut *turn, Turn::Left) {
            Turn::Waiting(waker) => {
                *turn = Turn::Granted(held);
                Ok(waker)
            }
            Turn::Left => Err(held),
            Turn::Granted(_) | Turn::Refused(_) => {
                unreachable!("a turn comes once: the ticket has left the queue then")
            }
        }
    }

    /// Refuses this ticket and returns the waker to call; returns `None` if the holder has left.
    pub(crate) fn refuse(&self, refusal: Refusal<T::Failure>) -> Option<Waker> {
        let mut turn = self.turn();
        match std::mem::replace(&mut *turn, Turn::Refused(refusal)) {
            Turn::Waiting(waker) => Some(waker),
            other => {
                *turn = other;
                None
            }
        }
    }

    /// Returns the turn if it has come.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<Held<T>, Refusal<T::Failure>>> {
        // The waker is cloned before the lock is taken, and the old one is dropped after it is
        // released: both run code of the executor.
        let waker = waker.clone();
        let mut turn = self.turn();
        match std::mem::replace(&mut *turn, Turn::Left) {
            Turn::Waiting(held) => {
                *turn = Turn::Waiting(waker);
                drop(turn);
                drop(held);
                Poll::Pending
            }
            Turn::Granted(held) => Poll::Ready(Ok(held)),
            Turn::Refused(refusal) => Poll::Ready(Err(refusal)),
            Turn::Left => unreachable!("only the holder leaves, and it does not poll after that"),
        }
    }

    /// Removes the holder, and returns what it leaves behind.
    pub(crate) fn leave(&self) -> Departure<T> {
        match std::mem::replace(&mut *self.turn(), Turn::Left) {
            Turn::Waiting(waker) => Departure::Queued(waker),
            Turn::Granted(held) => Departure::Granted(held),
            Turn::Refused(_) | Turn::Left => Departure::Done,
        }
    }

    pub(crate) fn has_left(&self) -> bool {
        matches!(*self.turn(), Turn::Left)
    }

    /// Returns whether the call in this instance waits for the holder of this ticket, which has not
    /// left.
    pub(crate) fn is_awaited_by(&self, instance: u64) -> bool {
        self.callers.include(instance) && !self.has_left()
    }
}

/// What a holder leaves behind.
pub(crate) enum Departure<T> {
    /// A ticket in the queue. The waker has to be dropped without a lock.
    Queued(Waker),
    /// An instance for the next call.
    Granted(Held<T>),
    /// Nothing.
    Done,
}
