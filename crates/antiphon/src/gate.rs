//! One holder at a time, first come first served, for threads and tasks alike.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crossbeam_utils::atomic::AtomicCell;

use crate::ticker::Busy;

/// Guards a value: one atomic exchange to take it and one to put it back where nobody waits, a queue where somebody does.
///
/// Ours because every lock at hand either blocks an executor's thread, or costs three times as much uncontended, or
/// cannot serve threads and tasks from one queue.
pub(crate) struct Gate<T> {
    /// The value, while nobody holds it.
    value: AtomicCell<Option<Box<T>>>,
    /// How many wait in the queue; written only with the queue locked.
    waiting: AtomicUsize,
    queue: Mutex<Queue<T>>,
}

/// Those who wait, in order, and those who have left meanwhile.
struct Queue<T> {
    tickets: VecDeque<Arc<Ticket<T>>>,
    /// About how many of them have left: they are swept out together, since to find one costs a walk.
    left: usize,
}

impl<T: Send> Gate<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: AtomicCell::new(Some(Box::new(value))),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(Queue { tickets: VecDeque::new(), left: 0 }),
        }
    }

    /// Enters if nobody is inside and nobody waits.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Inside<'_, T>> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let value = self.value.take()?;
        Some(Inside { gate: self, value: Some(value) })
    }

    /// Enters after everybody who came before.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place; a turn that had already come is handed on.
    pub(crate) async fn enter(&self) -> Inside<'_, T> {
        let mut place = Place { gate: self, ticket: None };
        let value = poll_fn(|cx| match &place.ticket {
            None => match self.queue_up(cx.waker()) {
                Ok(value) => Poll::Ready(value),
                Err(ticket) => {
                    place.ticket = Some(ticket);
                    Poll::Pending
                }
            },
            Some(ticket) => ticket.poll(cx.waker()),
        })
        .await;
        place.ticket = None;
        Inside { gate: self, value: Some(value) }
    }

    /// The value if it is free, else a place in the queue.
    fn queue_up(&self, waker: &Waker) -> Result<Box<T>, Arc<Ticket<T>>> {
        let mut queue = self.lock_queue();
        if queue.tickets.is_empty() {
            self.waiting.store(1, Ordering::Relaxed);
            // After the store: whoever puts the value back after this exchange reads from it, and so sees the store.
            if let Some(value) = self.value.take() {
                self.waiting.store(0, Ordering::Relaxed);
                return Ok(value);
            }
        }
        let ticket = Arc::new(Ticket { turn: Mutex::new(Turn::Waiting(waker.clone())) });
        queue.tickets.push_back(Arc::clone(&ticket));
        self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
        Err(ticket)
    }

    #[inline(always)]
    fn leave(&self, value: Box<T>) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return self.hand_over(value);
        }
        self.value.store(Some(value));
        // Again: somebody may have found the gate closed just before it was opened. If another one took the value
        // since, it is theirs to hand over.
        if self.waiting.load(Ordering::Relaxed) > 0
            && let Some(value) = self.value.take()
        {
            self.hand_over(value);
        }
    }

    #[cold]
    fn hand_over(&self, mut value: Box<T>) {
        let mut queue = self.lock_queue();
        while let Some(next) = queue.tickets.pop_front() {
            self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
            match next.grant(value) {
                Ok(waker) => {
                    // Unlocked first: a waker may run its task at once, and that may come back here.
                    drop(queue);
                    return waker.wake();
                }
                Err(back) => {
                    queue.left = queue.left.saturating_sub(1);
                    value = back;
                }
            }
        }
        self.value.store(Some(value));
    }

    /// A waiter has left. Its ticket stays until half of all have left, so that many who leave cost little each.
    fn sweep(&self) {
        let mut queue = self.lock_queue();
        queue.left = queue.left.saturating_add(1);
        if queue.left.saturating_mul(2) > queue.tickets.len() {
            queue.tickets.retain(|ticket| !matches!(*ticket.turn(), Turn::Left));
            queue.left = 0;
            self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
        }
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Busy for Gate<T> {
    fn is_busy(&self) -> bool {
        // By exchange, not by a look: a caller that takes the value after this reads from this exchange, and so sees
        // what the ticker wrote before it.
        match self.value.take() {
            None => true,
            Some(value) => {
                self.leave(value);
                false
            }
        }
    }
}

/// Somebody in the queue.
struct Ticket<T> {
    turn: Mutex<Turn<T>>,
}

enum Turn<T> {
    Waiting(Waker),
    /// The value, handed over by whoever left.
    Granted(Box<T>),
    Left,
}

impl<T> Ticket<T> {
    fn turn(&self) -> MutexGuard<'_, Turn<T>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the value to this ticket, with its waker to be woken, or back where its holder has left.
    fn grant(&self, value: Box<T>) -> Result<Waker, Box<T>> {
        let mut turn = self.turn();
        match std::mem::replace(&mut *turn, Turn::Left) {
            Turn::Waiting(waker) => {
                *turn = Turn::Granted(value);
                Ok(waker)
            }
            Turn::Granted(_) => unreachable!("a ticket is granted once: it has left the queue then"),
            Turn::Left => Err(value),
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Box<T>> {
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
            Turn::Granted(value) => Poll::Ready(value),
            Turn::Left => unreachable!("only the holder leaves, and it does not poll after that"),
        }
    }
}

/// A place in the queue, given up when dropped.
struct Place<'a, T: Send> {
    gate: &'a Gate<T>,
    ticket: Option<Arc<Ticket<T>>>,
}

impl<T: Send> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let turn = std::mem::replace(&mut *ticket.turn(), Turn::Left);
        match turn {
            Turn::Granted(value) => self.gate.leave(value),
            Turn::Waiting(_) | Turn::Left => self.gate.sweep(),
        }
    }
}

/// The value, for as long as its holder is inside.
pub(crate) struct Inside<'a, T: Send> {
    gate: &'a Gate<T>,
    value: Option<Box<T>>,
}

impl<T: Send> Inside<'_, T> {
    /// Leaves, as a drop does; said where it happens, the compiler makes it a store or two in place.
    #[inline(always)]
    pub(crate) fn leave(mut self) {
        let (gate, value) = (self.gate, self.value.take());
        // Nothing is left to drop: a drop would look for it all the same.
        std::mem::forget(self);
        if let Some(value) = value {
            gate.leave(value);
        }
    }
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
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.gate.leave(value);
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
    fn a_waker_that_runs_its_task_at_once_finds_the_gate_unlocked() {
        struct Inline(Mutex<Option<BoxFuture>>);
        type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

        impl std::task::Wake for Inline {
            fn wake(self: Arc<Self>) {
                let task = self.0.lock().unwrap().take();
                if let Some(mut task) = task {
                    assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
                }
            }
        }

        let (done, ended) = std::sync::mpsc::channel();
        // On a thread of its own: if the gate were locked, this would never end.
        std::thread::spawn(move || {
            let gate: &'static Gate<u32> = Box::leak(Box::new(Gate::new(0)));
            let inside = gate.try_enter().unwrap();
            for _ in 0..3 {
                let waker = Arc::new(Inline(Mutex::new(None)));
                let mut task: BoxFuture = Box::pin(async { *gate.enter().await += 1 });
                assert!(
                    task.as_mut().poll(&mut Context::from_waker(&Arc::clone(&waker).into())).is_pending()
                );
                *waker.0.lock().unwrap() = Some(task);
            }
            drop(inside); // each one that leaves wakes the next, inside its own wake
            done.send(*gate.try_enter().unwrap())
        });
        let entered = ended.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(entered, Ok(3), "the waker was called under the lock");
    }

    #[test]
    fn waiters_that_leave_are_forgotten() {
        let gate = Gate::new(());
        let inside = gate.try_enter().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            assert!(pin!(gate.enter()).poll(&mut cx).is_pending());
        }
        assert_eq!(gate.lock_queue().tickets.len(), 0);
        drop(inside);
        assert!(gate.try_enter().is_some());
    }

    #[test]
    fn those_who_wait_on_among_many_who_leave_keep_their_order() {
        let gate = Gate::new(());
        let inside = gate.try_enter().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> = (0..1_000).map(|_| Some(Box::pin(gate.enter()))).collect();
        for waiter in waiting.iter_mut().flatten() {
            assert!(waiter.as_mut().poll(&mut cx).is_pending());
        }
        for (number, waiter) in waiting.iter_mut().enumerate() {
            if number % 100 != 7 {
                *waiter = None;
            }
        }
        let kept = gate.lock_queue().tickets.len();
        assert!((10..=20).contains(&kept), "{kept} tickets for 10 who wait");
        drop(inside);
        for (number, waiter) in waiting.iter_mut().enumerate().filter(|(_, waiter)| waiter.is_some()) {
            let entered = waiter.as_mut().unwrap().as_mut().poll(&mut cx);
            assert!(entered.is_ready(), "number {number}");
        }
        assert!(gate.try_enter().is_some());
    }
}
