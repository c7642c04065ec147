//! A place in the queue, and the turn that comes to it.

use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

use super::handover::{Callers, Serves};
use crate::sync::{Mutex, MutexGuard};

/// A value that runs guests, with the place in the pool that it fills.
pub(crate) struct Held<T> {
    pub(crate) place: usize,
    pub(crate) value: Box<T>,
}

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

/// One who waits.
pub(crate) struct Ticket<T: Serves> {
    turn: Mutex<Turn<T, T::Failure>>,
    /// Who waits for its holder.
    callers: T::Callers,
}

/// How it stands with one who waits.
enum Turn<T, F> {
    Waiting(Waker),
    Granted(Held<T>),
    Refused(Refusal<F>),
    /// Its holder is gone.
    Left,
}

impl<T: Serves> Ticket<T> {
    pub(crate) fn new(waker: Waker, callers: T::Callers) -> Arc<Self> {
        Arc::new(Self { turn: Mutex::new(Turn::Waiting(waker)), callers })
    }

    fn turn(&self) -> MutexGuard<'_, Turn<T, T::Failure>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the value to this ticket, with its waker to be woken, or back where its holder has left.
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

    /// Refuses this ticket; the waker is to be woken. `None` where its holder has left.
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

    /// Looks whether the turn has come.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<Held<T>, Refusal<T::Failure>>> {
        // Cloned before and dropped after the lock: both are code of the executor's.
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

    /// The holder leaves: with what it was granted, or whether it still stands in the queue.
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

    /// Whether the call of that instance waits for one who still waits here.
    pub(crate) fn is_awaited_by(&self, instance: u64) -> bool {
        self.callers.include(instance) && !self.has_left()
    }
}

/// What somebody leaves behind.
pub(crate) enum Departure<T> {
    /// A ticket in the queue; the waker is to be dropped without a lock.
    Queued(Waker),
    /// Something for the next one.
    Granted(Held<T>),
    /// Nothing.
    Done,
}
