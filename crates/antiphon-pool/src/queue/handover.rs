//! The hand-over of everything in a pool: which call runs an instance, which calls wait, and which
//! version serves.
//!
//! The pool has a fixed number of places. An instance fills a place, and while it is free it lies
//! in the place's slot. Taking it from there, and putting it back, is one atomic exchange each,
//! without a lock. Each slot has its own cache lines, and a thread looks first into the slot that
//! it used last, so callers on different threads touch nothing in common. Everything that needs an
//! order (a queue, a new version, a lost instance) goes through one lock. The holder of that lock
//! announces the change in `attention` or `version`, and a caller that puts an instance back reads
//! both after the put.
//!
//! A replaced version needs no count of its users. An instance knows its version, and `version`
//! says which one serves. A caller compares both when it takes an instance, so a call after a
//! replacement cannot get an old instance, even one that was put back while the slots were swept.
//!
//! A model checks this module in every order of threads (`tests/model.rs`; it once found a call
//! that waited forever). So the module uses no atomics and locks but those of `sync`.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
#[cfg(feature = "tower")]
use std::task::Context;
use std::task::Poll;

use super::places::{Bounds, Held, Place, Places, Serves};
use super::state::{Counts, Effects, Entry, Filling, Newcomer, State, Wanted};
use super::ticket::{Departure, Refusal, Ticket, Turn};
use crate::sync::{Mutex, MutexGuard, lock, survive};

/// Hands instances over to calls.
pub(crate) struct Queue<T: Serves> {
    /// Called, without the lock, when there may be an instance to start. Dropped first: the keeper
    /// learns of the pool's end before its instances go.
    call_keeper: Box<dyn Fn() + Send + Sync>,
    places: Places<T>,
    state: Mutex<State<T>>,
}

impl<T: Serves> Queue<T> {
    /// Creates a queue whose places are vacant.
    pub(crate) fn new(
        bounds: Bounds,
        (version, current): (u64, T::Version),
        call_keeper: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            call_keeper: Box::new(call_keeper),
            places: Places::new(bounds, version),
            state: Mutex::new(State::new(bounds, current)),
        }
    }

    // What callers use.

    /// Takes a free instance, unless other calls wait.
    #[inline]
    pub(crate) fn try_take(&self) -> Option<Held<T>> {
        if self.places.attention.load(Ordering::Relaxed) != 0 {
            return None;
        }
        match self.places.find() {
            Some(held) if self.places.is_current(&held) => Some(held),
            Some(stale) => {
                self.with_state(|state, effects| state.replace_stale(&self.places, stale, effects));
                None
            }
            None => None,
        }
    }

    /// Notes that a call begins to run in the instance of this number, in a place that the caller
    /// holds.
    #[inline]
    pub(crate) fn occupy(&self, place: usize, instance: u64) {
        self.places.occupy(place, instance);
    }

    /// Takes an instance after all calls that came before. `callers` are the calls that wait for
    /// this one. If `promised`, the call uses up a place in the queue that was promised to it.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue. A turn that had already come passes to the next call.
    pub(crate) async fn enter(&self, promised: bool, callers: T::Callers) -> Turn<T> {
        let mut callers = Some(callers);
        let mut waiting = Waiting { queue: self, ticket: None };
        let turn = poll_fn(|cx| match &waiting.ticket {
            None => {
                let Some(callers) = callers.take() else {
                    unreachable!("a call without a ticket was not polled before")
                };
                let newcomer = Newcomer { promised, callers, waker: cx.waker() };
                match self.with_state(|state, effects| state.queue_up(&self.places, newcomer, effects)) {
                    Entry::Waits(ticket) => {
                        waiting.ticket = Some(ticket);
                        Poll::Pending
                    }
                    Entry::Turn(turn) => Poll::Ready(turn),
                }
            }
            Some(ticket) => ticket.poll(cx.waker()),
        })
        .await;
        waiting.ticket = None;
        turn
    }

    /// Returns an instance that may serve the next call.
    #[inline]
    pub(crate) fn put(&self, held: Held<T>) {
        if self.places.attention.load(Ordering::Relaxed) != 0 || !self.places.is_current(&held) {
            return self.settle(held);
        }
        let Held { place, value } = held;
        let Some(home) = self.places.get(place) else { return };
        home.busy.store(false, Ordering::Relaxed);
        let version = value.version();
        home.slot.put(value);
        // Looks again. A caller that looked into the slot before it was filled had announced itself
        // before that look, so this check sees it. If another call has taken the instance in
        // between, that call looks when it returns the instance.
        if (self.places.attention.load(Ordering::Relaxed) != 0
            || self.places.version.load(Ordering::Relaxed) != version)
            && let Some(value) = home.slot.take()
        {
            self.settle(Held { place, value });
        }
    }

    /// Vacates a place whose instance is gone.
    pub(crate) fn give_up(&self, place: usize) {
        self.with_state(|state, effects| state.vacate(&self.places, place, Wanted::Rebuild, effects));
    }

    #[cold]
    fn settle(&self, held: Held<T>) {
        self.with_state(|state, effects| {
            if self.places.is_current(&held) {
                state.settle(&self.places, held, effects);
            } else {
                state.replace_stale(&self.places, held, effects);
            }
        });
    }

    // Places in the queue that are promised in advance.

    /// Promises a place in the queue, now or as soon as there is one.
    #[cfg(feature = "tower")]
    pub(crate) fn poll_promise(&self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal<T::Failure>>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(Refusal::Closed));
        }
        // At least one, because otherwise a pool without a queue would never be ready.
        if state.expected() < state.room(self.places.bounds).max(1) {
            state.promised = state.promised.saturating_add(1);
            return Poll::Ready(Ok(()));
        }
        if !state.promise_wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.promise_wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Returns a promised place that is not needed.
    pub(crate) fn forgo_promise(&self) {
        self.with_state(|state, effects| {
            state.promised = state.promised.saturating_sub(1);
            state.made_room(effects);
        });
    }

    // What the keeper uses.

    /// Returns a place to fill, why, and the version to fill it with.
    pub(crate) fn next_start(&self) -> Option<(usize, Wanted, T::Version)> {
        let mut state = self.lock();
        let (place, why) = state.next_start(self.places.bounds)?;
        state.fill(place, Filling::Starting);
        Some((place, why, state.current.clone()))
    }

    /// Takes over an instance that has started.
    pub(crate) fn started(&self, held: Held<T>) {
        self.with_state(|state, effects| {
            if !self.places.is_current(&held) {
                return state.replace_stale(&self.places, held, effects);
            }
            state.failing = None;
            state.fill(held.place, Filling::Live);
            state.settle(&self.places, held, effects);
        });
    }

    /// Notes that the start of an instance of this version failed.
    pub(crate) fn start_failed(&self, place: usize, version: u64, failure: T::Failure) {
        self.with_state(|state, effects| {
            if version == self.places.version.load(Ordering::Relaxed) {
                state.failing = Some(failure);
            }
            state.vacate(&self.places, place, Wanted::Rebuild, effects);
        });
    }

    /// Returns whether the last start failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.lock().failing.is_some()
    }

    /// Drops free instances that `is_surplus` picks, while more live than are kept. Returns whether
    /// there are still more than that.
    pub(crate) fn reap(&self, is_surplus: impl Fn(&T) -> bool) -> bool {
        self.with_state(|state, effects| {
            for (place, home) in self.places.iter().enumerate() {
                if state.live() <= self.places.bounds.kept {
                    break;
                }
                let Some(value) = home.slot.take() else { continue };
                if state.waiting() == 0 && is_surplus(&value) {
                    state.fill(place, Filling::Vacant);
                    effects.dropped.push(value);
                } else {
                    // Not put directly into the slot: a call may have begun to wait for this
                    // instance.
                    state.settle(&self.places, Held { place, value }, effects);
                }
            }
            state.live() > self.places.bounds.kept
        })
    }

    // What the pool uses.

    /// Makes a version serve from now on, with the instances of it that are already started. Does
    /// nothing if a newer version serves.
    ///
    /// # Errors
    /// [`Refusal::Closed`] if the queue is closed.
    pub(crate) fn switch(
        &self,
        (version, current): (u64, T::Version),
        started: Vec<Box<T>>,
    ) -> Result<(), Refusal<T::Failure>> {
        // The old version is dropped after the lock is released, because its drop runs foreign
        // code.
        let (switched, _old) = self.with_state(|state, effects| {
            if state.closed {
                effects.dropped.extend(started);
                return (Err(Refusal::Closed), current);
            }
            if version < self.places.version.load(Ordering::Relaxed) {
                effects.dropped.extend(started);
                return (Ok(()), current);
            }
            self.places.version.store(version, Ordering::Relaxed);
            let old = mem::replace(&mut state.current, current);
            state.failing = None;
            effects.dropped.append(&mut state.reserve);
            state.reserve = started;
            for (place, home) in self.places.iter().enumerate() {
                if let Some(value) = home.slot.take() {
                    effects.dropped.push(value);
                    state.fill(place, Filling::Wanted(Wanted::Replace));
                }
            }
            for place in 0..self.places.len() {
                let filling = state.filling(place);
                if matches!(filling, Filling::Vacant | Filling::Wanted(_))
                    && let Some(value) = state.reserve.pop()
                {
                    state.fill(place, Filling::Live);
                    state.settle(&self.places, Held { place, value }, effects);
                }
            }
            effects.call_keeper |=
                state.next_start(self.places.bounds).is_some() || state.live() > self.places.bounds.kept;
            (Ok(()), old)
        });
        switched
    }

    /// Closes the queue to all calls but those that a running call waits for. Calls that already
    /// wait are still served.
    pub(crate) fn close(&self) {
        self.with_state(|state, effects| {
            state.closed = true;
            state.publish(&self.places);
            for (place, home) in self.places.iter().enumerate() {
                if let Some(value) = home.slot.take() {
                    // Not simply dropped: a call may have begun to wait for this instance.
                    state.settle(&self.places, Held { place, value }, effects);
                }
            }
            effects.wake.append(&mut state.promise_wakers);
            state.look_for_end(effects);
        });
    }

    /// Refuses all calls that still wait, and all later ones. Returns how many waited.
    pub(crate) fn cut(&self) -> usize {
        self.with_state(|state, effects| {
            state.cut = true;
            let cut = state.refuse_all(&Refusal::Cut, effects);
            state.publish(&self.places);
            state.look_for_end(effects);
            cut
        })
    }

    /// Waits until a closed queue has nothing left to do.
    pub(crate) async fn ended(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.is_over() {
                return Poll::Ready(());
            }
            if !state.end_wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.end_wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Returns the version that serves now.
    pub(crate) fn current(&self) -> T::Version {
        self.lock().current.clone()
    }

    /// Counts the instances by what they do.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        let live = state.live();
        let busy = |place: &&Place<T>| place.busy.load(Ordering::Relaxed);
        let busy = self.places.iter().filter(busy).count().min(live);
        Counts { idle: live - busy, busy, starting: state.starting(), waiting: state.waiting() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }

    /// Changes the state, and after the lock is released does what must not be done under it:
    /// wakers and destructors are foreign code, and a waker may run its task at once, which may
    /// come back here.
    fn with_state<R>(&self, change: impl FnOnce(&mut State<T>, &mut Effects<T>) -> R) -> R {
        let mut effects = Effects::default();
        let result = change(&mut self.lock(), &mut effects);
        if effects.call_keeper {
            (self.call_keeper)();
        }
        // Other tasks wait behind a waker that panics, and the call at hand may have nothing to do
        // with it.
        for waker in effects.wake {
            survive(|| waker.wake());
        }
        for value in effects.dropped {
            survive(|| drop(value));
        }
        result
    }
}

/// A call that waits; dropping it leaves the queue.
struct Waiting<'a, T: Serves> {
    queue: &'a Queue<T>,
    ticket: Option<Arc<Ticket<T>>>,
}

impl<T: Serves> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        // Under the state's lock, so that the number of tickets whose holders have left is exact.
        let departure =
            self.queue.with_state(|state, effects| state.leave(&self.queue.places, &ticket, effects));
        match departure {
            Departure::Granted(held) => self.queue.put(held),
            Departure::Queued(waker) => drop(waker),
            Departure::Done => {}
        }
    }
}
