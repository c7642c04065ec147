//! A lock for one holder at a time, first come first served, for threads and tasks alike.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::survive::{lock, survive};
use crate::time::ticker::{self, Busy};

/// How often a caller that finds the gate closed looks again before it waits. The looks are some
/// tens of nanoseconds apart.
const LOOKS: u32 = 8;

/// Guards a value. Where no caller waits, entering is one atomic exchange and leaving is a plain
/// store; where callers wait, a queue serves them in order.
///
/// We wrote our own because every lock at hand either blocks an executor's thread, needs a certain
/// executor, costs at least a second exchange, or cannot serve threads and tasks from one queue.
/// Only unsafe code could do without the first one.
///
/// The second exchange would make sure that the leaving holder sees a caller that has just come.
/// Without it, a caller may find the gate closed while another thread opens it and does not see
/// that the caller waits. Two things make up for that. The caller looks again for some hundred
/// nanoseconds, which almost always suffices. And while a caller waits at any gate, the ticker
/// looks into the gates at each tick and wakes the first waiter of an open one.
pub(super) struct Gate<T> {
    /// Only ever tried: no thread spins for it.
    value: SpinMutex<T>,
    /// The number of waiters in the queue. Written only with the queue locked.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

/// The tickets of the waiters, in order, and of waiters that have left.
struct Queue {
    tickets: VecDeque<Arc<Ticket>>,
    /// About how many of the tickets belong to waiters that have left. They are swept out together,
    /// because finding one costs a walk.
    left: usize,
}

impl<T: Send> Gate<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value: SpinMutex::new(value),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(Queue { tickets: VecDeque::new(), left: 0 }),
        }
    }

    /// Enters if no holder is inside and no caller waits.
    #[inline(always)]
    pub(super) fn try_enter(&self) -> Option<Inside<'_, T>> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.pass()
    }

    /// Enters if no holder is inside.
    #[inline(always)]
    fn pass(&self) -> Option<Inside<'_, T>> {
        let value = self.value.try_lock()?;
        Some(Inside { value, leave: Leave(self) })
    }

    /// Enters after every caller that came before.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place; a turn that had already come is handed on.
    pub(super) async fn enter(&self) -> Inside<'_, T> {
        let mut place = Place { gate: self, ticket: None };
        poll_fn(|cx| match &place.ticket {
            None => match self.queue_up(cx.waker()) {
                Ok(inside) => Poll::Ready(inside),
                Err(ticket) => {
                    place.ticket = Some(ticket);
                    Poll::Pending
                }
            },
            Some(ticket) => {
                let entered = self.poll(ticket, cx.waker());
                if entered.is_ready() {
                    place.ticket = None;
                }
                entered
            }
        })
        .await
    }

    /// Enters if no caller is in front; otherwise takes a place in the queue.
    fn queue_up(&self, waker: &Waker) -> Result<Inside<'_, T>, Arc<Ticket>> {
        let mut queue = self.lock_queue();
        queue.pop_left();
        if queue.tickets.is_empty() {
            self.waiting.store(1, Ordering::Relaxed);
            for _ in 0..LOOKS {
                // Either the other side sees the store above, or this look finds the gate open.
                // Where the other side is the ticker, the two fences guarantee that. A leaving
                // holder has no fence, so there it is only almost certain.
                fence(Ordering::SeqCst);
                if let Some(inside) = self.pass() {
                    self.waiting.store(0, Ordering::Relaxed);
                    return Ok(inside);
                }
                std::hint::spin_loop();
            }
        }
        let ticket = Arc::new(Ticket { turn: Mutex::new(Turn::Waiting(waker.clone())) });
        queue.tickets.push_back(Arc::clone(&ticket));
        self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
        if queue.tickets.len() == 1 {
            ticker::somebody_queues();
        }
        Err(ticket)
    }

    /// Enters if it is this ticket's turn.
    fn poll(&self, ticket: &Ticket, waker: &Waker) -> Poll<Inside<'_, T>> {
        if !ticket.is_called(waker) {
            return Poll::Pending;
        }
        // A caller that looked before the queue formed may have slipped in. When it leaves, it
        // calls this ticket again.
        let entered = self.pass().or_else(|| {
            ticket.wait_again(waker);
            fence(Ordering::SeqCst);
            self.pass()
        });
        match entered {
            None => Poll::Pending,
            Some(inside) => {
                let mut queue = self.lock_queue();
                queue.tickets.pop_front();
                queue.pop_left();
                self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
                Poll::Ready(inside)
            }
        }
    }

    /// Tells the first waiter in the queue, once, that its turn has come.
    #[cold]
    fn call_next(&self) {
        let mut queue = self.lock_queue();
        queue.pop_left();
        self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
        let waker = queue.tickets.front().and_then(|ticket| ticket.call());
        // Unlocks first: a waker may run its task at once, and the task may come back here.
        drop(queue);
        if let Some(waker) = waker {
            // The leaving caller still has an answer to return, and may be unwinding.
            survive(|| waker.wake());
        }
    }

    /// Notes that a waiter has left. Its ticket stays until half of all tickets are of waiters that
    /// left, so that many that leave cost little each.
    fn sweep(&self) {
        let mut queue = self.lock_queue();
        queue.left = queue.left.saturating_add(1);
        if queue.left.saturating_mul(2) > queue.tickets.len() {
            queue.tickets.retain(|ticket| !ticket.has_left());
            queue.left = 0;
            self.waiting.store(queue.tickets.len(), Ordering::Relaxed);
        }
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

impl Queue {
    /// Removes the tickets in front whose waiters have left.
    fn pop_left(&mut self) {
        while self.tickets.front().is_some_and(|ticket| ticket.has_left()) {
            self.tickets.pop_front();
            self.left = self.left.saturating_sub(1);
        }
    }
}

impl<T: Send> Busy for Gate<T> {
    fn is_busy(&self) -> bool {
        // Enters the gate instead of only looking at it. A caller that enters later synchronizes
        // with that, and so sees what the ticker wrote before.
        if self.value.try_lock().is_none() {
            return true;
        }
        // A waiter that the previous holder missed has either entered since, or is found by the
        // check below.
        fence(Ordering::SeqCst);
        self.wake_missed()
    }

    fn wake_missed(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed) > 0;
        // A holder that is inside calls the next waiter when it leaves. If it has just left and
        // this look is stale, the look at the next tick is not.
        if waiting && !self.value.is_locked() {
            self.call_next();
        }
        waiting
    }
}

/// A waiter in the queue.
struct Ticket {
    turn: Mutex<Turn>,
}

enum Turn {
    Waiting(Waker),
    /// The waiter has been woken, because the gate was open.
    Called,
    Left,
}

impl Ticket {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.turn)
    }

    /// Returns the waiter's waker the first time.
    fn call(&self) -> Option<Waker> {
        let mut turn = self.turn();
        match mem::replace(&mut *turn, Turn::Called) {
            Turn::Waiting(waker) => Some(waker),
            Turn::Called => None,
            Turn::Left => {
                *turn = Turn::Left;
                None
            }
        }
    }

    /// Returns whether the waiter's turn has come. If not, this waker will wake it.
    fn is_called(&self, waker: &Waker) -> bool {
        // Cloned before and dropped after the lock: both run the executor's code.
        let mut waker = waker.clone();
        let mut turn = self.turn();
        match &mut *turn {
            Turn::Waiting(held) => {
                mem::swap(held, &mut waker);
                drop(turn);
                false
            }
            Turn::Called => true,
            Turn::Left => unreachable!("only the holder leaves, and it does not poll after that"),
        }
    }

    fn wait_again(&self, waker: &Waker) {
        let waker = waker.clone();
        *self.turn() = Turn::Waiting(waker);
    }

    fn has_left(&self) -> bool {
        matches!(*self.turn(), Turn::Left)
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
        let turn = mem::replace(&mut *ticket.turn(), Turn::Left);
        self.gate.sweep();
        if matches!(turn, Turn::Called) {
            self.gate.call_next();
        }
    }
}

/// The value, for as long as its holder is inside.
pub(super) struct Inside<'a, T: Send> {
    // Dropped in this order, so that the gate is open when the next waiter is called.
    value: SpinMutexGuard<'a, T>,
    leave: Leave<'a, T>,
}

impl<T: Send> Inside<'_, T> {
    /// Leaves, as a drop does. Called explicitly, it compiles to a plain store in place.
    #[inline(always)]
    pub(super) fn leave(self) {
        let Self { value, leave } = self;
        drop(value);
        drop(leave);
    }
}

/// Calls the next waiter when dropped.
struct Leave<'a, T: Send>(&'a Gate<T>);

impl<T: Send> Drop for Leave<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.waiting.load(Ordering::Relaxed) > 0 {
            self.0.call_next();
        }
    }
}

impl<T: Send> Deref for Inside<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Send> DerefMut for Inside<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::block_on;
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

        drop(inside); // calls the second waiter, which never polls
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(second);
        let third = third.as_mut().poll(&mut cx);
        assert!(third.is_ready() && gate.try_enter().is_none());
        drop(third);
        assert!(gate.try_enter().is_some());
    }

    #[test]
    fn whoever_was_not_seen_by_the_one_who_left_is_woken_at_the_next_tick() {
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        let gate = Gate::new(());
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Arc::clone(&woken).into();
        let mut cx = Context::from_waker(&waker);
        let inside = gate.try_enter().unwrap();
        assert!(gate.is_busy());
        let mut waiter = pin!(gate.enter());
        assert!(waiter.as_mut().poll(&mut cx).is_pending());
        // As if the waiter's store came too late for the leaving holder.
        gate.waiting.store(0, Ordering::Relaxed);
        drop(inside);
        gate.waiting.store(1, Ordering::Relaxed);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        assert!(gate.try_enter().is_none(), "somebody is before us");
        assert!(gate.is_busy(), "somebody waits");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(gate.is_busy());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "once");
        assert!(waiter.as_mut().poll(&mut cx).is_ready());
        assert!(!gate.is_busy());
    }

    #[test]
    fn whoever_was_missed_is_woken_while_the_ticker_has_other_calls_to_look_after() {
        let gate = Arc::new(Gate::new(()));
        ticker::watch(Arc::downgrade(&gate) as std::sync::Weak<dyn Busy>).unwrap();
        let inside = gate.try_enter().unwrap();
        let (entered, ended) = std::sync::mpsc::channel();
        let waiter = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || {
                let inside = block_on(gate.enter());
                entered.send(()).unwrap();
                drop(inside);
            })
        };
        while gate.waiting.load(Ordering::Relaxed) == 0 || gate.lock_queue().tickets.is_empty() {
            std::thread::yield_now();
        }
        // As if the waiter's store came too late for the leaving holder.
        gate.waiting.store(0, Ordering::Relaxed);
        drop(inside);
        gate.waiting.store(1, Ordering::Relaxed);
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while ended.try_recv().is_err() {
            assert!(std::time::Instant::now() < patience, "nobody has woken it");
            // Other hosts are called all the time.
            ticker::now();
            std::thread::sleep(ticker::TICK / 5);
        }
        waiter.join().unwrap();
    }

    /// A replacement waits without a deadline, and so without an alarm that would wake the ticker.
    #[test]
    fn whoever_was_missed_is_woken_although_the_ticker_slept() {
        struct Count(AtomicUsize);
        impl ticker::OnTick for Count {
            fn on_tick(&self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }

        let ticks = Arc::new(Count(AtomicUsize::new(0)));
        ticker::on_each_tick(Arc::downgrade(&ticks) as _).unwrap();
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let (mut seen, mut since) = (0, std::time::Instant::now());
        while since.elapsed() < ticker::TICK * 40 {
            assert!(std::time::Instant::now() < patience, "the ticker never sleeps");
            std::thread::sleep(ticker::TICK);
            let now = ticks.0.load(Ordering::SeqCst);
            if now != seen {
                (seen, since) = (now, std::time::Instant::now());
            }
        }
        let gate = Arc::new(Gate::new(()));
        let inside = gate.try_enter().unwrap();
        ticker::watch(Arc::downgrade(&gate) as std::sync::Weak<dyn Busy>).unwrap();
        let (entered, ended) = std::sync::mpsc::channel();
        std::thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                drop(block_on(gate.enter()));
                entered.send(()).unwrap();
            }
        });
        while gate.lock_queue().tickets.is_empty() {
            std::thread::yield_now();
        }
        // As if the waiter's store came too late for the leaving holder.
        gate.waiting.store(0, Ordering::Relaxed);
        drop(inside);
        gate.waiting.store(1, Ordering::Relaxed);
        ended.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn who_leaves_does_not_fall_over_the_waker_of_the_next_one() {
        struct Bomb;
        impl std::task::Wake for Bomb {
            fn wake(self: Arc<Self>) {
                panic!("boom");
            }
        }

        let gate = Gate::new(());
        let waker = Arc::new(Bomb).into();
        let inside = gate.try_enter().unwrap();
        let mut waiter = pin!(gate.enter());
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(inside);
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn somebody_who_slips_in_costs_the_first_in_the_queue_no_more_than_that_turn() {
        let gate = Gate::new(());
        let mut cx = Context::from_waker(Waker::noop());
        let inside = gate.try_enter().unwrap();
        let mut waiter = pin!(gate.enter());
        assert!(waiter.as_mut().poll(&mut cx).is_pending());
        drop(inside); // calls the waiter
        let slipped_in = gate.pass().unwrap();
        assert!(waiter.as_mut().poll(&mut cx).is_pending());
        assert!(gate.try_enter().is_none());
        drop(slipped_in); // calls it again
        assert!(waiter.as_mut().poll(&mut cx).is_ready());
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
