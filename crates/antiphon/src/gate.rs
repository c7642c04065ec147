//! One holder at a time, first come first served, for threads and tasks alike.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crossbeam_utils::atomic::AtomicCell;

use crate::ticker::Busy;

const FREE: u8 = 0;
const HELD: u8 = 1;
/// Held, and the queue may not be empty: whoever leaves hands over.
const QUEUED: u8 = 2;

/// Guards a value: a compare-and-swap to enter and one to leave where nobody waits, a queue where somebody does.
///
/// Ours because every lock at hand either blocks an executor's thread, or costs three times as much uncontended, or
/// cannot serve threads and tasks from one queue.
pub(crate) struct Gate<T> {
    state: AtomicU8,
    /// The value, while nobody holds it.
    value: AtomicCell<Option<Box<T>>>,
    queue: Mutex<VecDeque<Arc<Ticket>>>,
}

impl<T: Send> Gate<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            state: AtomicU8::new(FREE),
            value: AtomicCell::new(Some(Box::new(value))),
            queue: Mutex::new(VecDeque::new()),
        }
    }

    /// Enters if nobody is inside.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Inside<'_, T>> {
        // Sequentially consistent for the ticker, which looks whether a gate is busy before it sleeps.
        self.state.compare_exchange(FREE, HELD, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        Some(self.inside())
    }

    /// Enters after everybody who came before.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place; a turn that had already come is handed on.
    pub(crate) async fn enter(&self) -> Inside<'_, T> {
        let mut place = Place { gate: self, ticket: None };
        poll_fn(|cx| match &place.ticket {
            None => match self.queue_up(cx.waker()) {
                None => Poll::Ready(()),
                Some(ticket) => {
                    place.ticket = Some(ticket);
                    Poll::Pending
                }
            },
            Some(ticket) => ticket.poll(cx.waker()),
        })
        .await;
        place.ticket = None;
        self.inside()
    }

    fn inside(&self) -> Inside<'_, T> {
        Inside { gate: self, value: self.value.take() }
    }

    /// A place in the queue, or `None` where the gate was free and is now held by the caller.
    fn queue_up(&self, waker: &Waker) -> Option<Arc<Ticket>> {
        let mut queue = self.lock_queue();
        loop {
            if self.state.compare_exchange(FREE, HELD, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                return None;
            }
            let held = self.state.compare_exchange(HELD, QUEUED, Ordering::AcqRel, Ordering::Relaxed);
            if held.is_ok() || held == Err(QUEUED) {
                let ticket = Arc::new(Ticket { turn: Mutex::new(Turn::Waiting(waker.clone())) });
                queue.push_back(Arc::clone(&ticket));
                return Some(ticket);
            }
        }
    }

    #[cold]
    fn hand_over(&self) {
        let mut queue = self.lock_queue();
        while let Some(next) = queue.pop_front() {
            if next.grant() {
                return;
            }
        }
        self.state.store(FREE, Ordering::SeqCst);
    }

    fn lock_queue(&self) -> MutexGuard<'_, VecDeque<Arc<Ticket>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Busy for Gate<T> {
    fn is_busy(&self) -> bool {
        self.state.load(Ordering::SeqCst) != FREE
    }
}

/// Somebody in the queue.
struct Ticket {
    turn: Mutex<Turn>,
}

enum Turn {
    Waiting(Waker),
    Granted,
    Left,
}

impl Ticket {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the turn to this ticket; false where its holder has left.
    fn grant(&self) -> bool {
        let mut turn = self.turn();
        match std::mem::replace(&mut *turn, Turn::Granted) {
            Turn::Waiting(waker) => {
                drop(turn);
                waker.wake();
                true
            }
            Turn::Granted => true,
            Turn::Left => {
                *turn = Turn::Left;
                false
            }
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<()> {
        match &mut *self.turn() {
            Turn::Waiting(held) => {
                held.clone_from(waker);
                Poll::Pending
            }
            Turn::Granted | Turn::Left => Poll::Ready(()),
        }
    }
}

/// A place in the queue, given up when dropped.
struct Place<'a, T: Send> {
    gate: &'a Gate<T>,
    ticket: Option<Arc<Ticket>>,
}

impl<T: Send> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let turn = std::mem::replace(&mut *ticket.turn(), Turn::Left);
        match turn {
            Turn::Granted => self.gate.hand_over(),
            Turn::Waiting(_) | Turn::Left => {
                self.gate.lock_queue().retain(|other| !Arc::ptr_eq(other, &ticket))
            }
        }
    }
}

/// The value, for as long as its holder is inside.
pub(crate) struct Inside<'a, T: Send> {
    gate: &'a Gate<T>,
    value: Option<Box<T>>,
}

impl<T: Send> Deref for Inside<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value is taken out only by the drop of its holder"),
        }
    }
}

impl<T: Send> DerefMut for Inside<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("the value is taken out only by the drop of its holder"),
        }
    }
}

impl<T: Send> Drop for Inside<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.gate.value.store(self.value.take());
        if self.gate.state.compare_exchange(HELD, FREE, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            self.gate.hand_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::block_on;
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    #[test]
    fn threads_and_their_counts_are_not_lost() {
        let gate = Gate::new(0u32);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        match gate.try_enter() {
                            Some(mut inside) => *inside += 1,
                            None => *block_on(gate.enter()) += 1,
                        }
                    }
                });
            }
        });
        assert_eq!(*gate.try_enter().unwrap(), 40_000);
    }

    #[test]
    fn a_turn_that_came_to_a_dropped_waiter_goes_to_the_next_one() {
        let gate = Gate::new(());
        let inside = gate.try_enter().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut second, mut third) = (Box::pin(gate.enter()), pin!(gate.enter()));
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(third.as_mut().poll(&mut cx).is_pending());

        drop(inside); // grants the second, which never looks
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(second);
        let third = third.as_mut().poll(&mut cx);
        assert!(third.is_ready() && gate.try_enter().is_none());
        drop(third);
        assert!(gate.try_enter().is_some());
    }

    #[test]
    fn waiters_that_leave_are_forgotten() {
        let gate = Gate::new(());
        let inside = gate.try_enter().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            assert!(pin!(gate.enter()).poll(&mut cx).is_pending());
        }
        assert_eq!(gate.lock_queue().len(), 0);
        drop(inside);
        assert!(gate.try_enter().is_some());
    }
}
