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
use std::sync::atomic::{self, AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use crate::state::{Counts, Effects, Entry, Filling, Newcomer, State, Turn, Wanted};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Slot, hint, set_hint, survive};
use crate::ticket::{Departure, Held, Refusal, Ticket};

/// What the queue has to know of the instances that it hands over.
pub(crate) trait Serves {
    /// What instances are started from.
    type Version: Clone;
    /// Why no instance can be started.
    type Failure: Clone;
    /// The calls that wait, directly or not, for a call in this queue.
    type Callers: Callers;

    /// Returns the number of the version that this instance was started from.
    fn version(&self) -> u64;
}

/// The calls that wait for one call.
pub(crate) trait Callers {
    /// Returns whether the call that runs in the instance of this number is one of them.
    fn include(&self, instance: u64) -> bool;
}

/// The sizes of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The number of places, and so the most instances at once.
    pub(crate) places: usize,
    /// How many instances are kept although no call needs them.
    pub(crate) kept: usize,
    /// How many calls may wait.
    pub(crate) waiting: usize,
}

pub(crate) struct Queue<T: Serves> {
    pub(crate) places: Box<[Place<T>]>,
    /// Not 0 if a caller that puts an instance back has to do more than fill its slot. Written only
    /// under the state's lock.
    pub(crate) attention: AtomicUsize,
    /// The number of the version that serves. Written only under the state's lock.
    version: AtomicU64,
    pub(crate) bounds: Bounds,
    state: Mutex<State<T>>,
    /// Called, without the lock, when there may be an instance to start.
    call_keeper: Box<dyn Fn() + Send + Sync>,
}

/// A place of the pool. It has a cache line of its own, or two for processors that fetch lines in
/// pairs.
#[repr(align(128))]
pub(crate) struct Place<T> {
    pub(crate) slot: Slot<T>,
    /// For statistics only: whether a call holds its instance.
    pub(crate) busy: AtomicBool,
    /// The number of the instance that the last call in this place ran in. It is not part of the
    /// model: a reader of this number has met that call under the lock since the write.
    tenant: atomic::AtomicU64,
}

impl<T: Serves> Queue<T> {
    /// Creates a queue whose places are vacant.
    pub(crate) fn new(
        bounds: Bounds,
        (version, current): (u64, T::Version),
        call_keeper: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let place = |_| Place {
            slot: Slot::empty(),
            busy: AtomicBool::new(false),
            tenant: atomic::AtomicU64::new(0),
        };
        Self {
            places: (0..bounds.places).map(place).collect(),
            attention: AtomicUsize::new(0),
            version: AtomicU64::new(version),
            bounds,
            state: Mutex::new(State::new(bounds, current)),
            call_keeper: Box::new(call_keeper),
        }
    }

    // What callers use.

    /// Takes a free instance, unless other calls wait.
    #[inline]
    pub(crate) fn try_take(&self) -> Option<Held<T>> {
        if self.attention.load(Ordering::Relaxed) != 0 {
            return None;
        }
        match self.find() {
            Some(held) if self.is_current(&held) => Some(held),
            Some(stale) => {
                self.with_state(|state, effects| state.replace_stale(self, stale, effects));
                None
            }
            None => None,
        }
    }

    /// Notes that a call begins to run in the instance of this number, in a place that the caller
    /// holds.
    #[inline]
    pub(crate) fn occupy(&self, place: usize, instance: u64) {
        if let Some(home) = self.places.get(place)
            && home.tenant.load(Ordering::Relaxed) != instance
        {
            home.tenant.store(instance, Ordering::Relaxed);
        }
    }

    /// Returns whether the call in this place waits for a call that `is_awaited_by` knows.
    pub(crate) fn waits_in(&self, place: usize, is_awaited_by: impl Fn(u64) -> bool) -> bool {
        match self.places.get(place).map(|home| home.tenant.load(Ordering::Relaxed)) {
            None | Some(0) => false,
            Some(tenant) => is_awaited_by(tenant),
        }
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
                match self.with_state(|state, effects| state.queue_up(self, newcomer, effects)) {
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
        if self.attention.load(Ordering::Relaxed) != 0 || !self.is_current(&held) {
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
        if (self.attention.load(Ordering::Relaxed) != 0 || self.version.load(Ordering::Relaxed) != version)
            && let Some(value) = home.slot.take()
        {
            self.settle(Held { place, value });
        }
    }

    /// Vacates a place whose instance is gone.
    pub(crate) fn give_up(&self, place: usize) {
        self.with_state(|state, effects| state.vacate(self, place, Wanted::Rebuild, effects));
    }

    #[cold]
    fn settle(&self, held: Held<T>) {
        self.with_state(|state, effects| {
            if self.is_current(&held) {
                state.settle(self, held, effects);
            } else {
                state.replace_stale(self, held, effects);
            }
        });
    }

    #[inline]
    pub(crate) fn is_current(&self, held: &Held<T>) -> bool {
        held.value.version() == self.version.load(Ordering::Relaxed)
    }

    /// Takes any free instance, of whatever version.
    #[inline]
    pub(crate) fn find(&self) -> Option<Held<T>> {
        let first = hint();
        let first = if first < self.places.len() { first } else { 0 };
        let (before, after) = self.places.split_at_checked(first)?;
        let found = |(place, home): (usize, &Place<T>)| {
            let value = home.slot.take()?;
            home.busy.store(true, Ordering::Relaxed);
            Some(Held { place, value })
        };
        let held =
            (first..).zip(after).find_map(found).or_else(|| before.iter().enumerate().find_map(found))?;
        if held.place != hint() {
            set_hint(held.place);
        }
        Some(held)
    }

    // Places in the queue that are promised in advance.

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
        let (place, why) = state.next_start(self.bounds)?;
        state.fill(place, Filling::Starting);
        Some((place, why, state.current.clone()))
    }

    /// Takes over an instance that has started.
    pub(crate) fn started(&self, held: Held<T>) {
        self.with_state(|state, effects| {
            if !self.is_current(&held) {
                return state.replace_stale(self, held, effects);
            }
            state.failing = None;
            state.fill(held.place, Filling::Live);
            state.settle(self, held, effects);
        });
    }

    /// Notes that the start of an instance of this version failed.
    pub(crate) fn start_failed(&self, place: usize, version: u64, failure: T::Failure) {
        self.with_state(|state, effects| {
            if version == self.version.load(Ordering::Relaxed) {
                state.failing = Some(failure);
            }
            state.vacate(self, place, Wanted::Rebuild, effects);
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
                if state.live() <= self.bounds.kept {
                    break;
                }
                let Some(value) = home.slot.take() else { continue };
                if state.waiting() == 0 && is_surplus(&value) {
                    state.fill(place, Filling::Vacant);
                    effects.dropped.push(value);
                } else {
                    // Not put directly into the slot: a call may have begun to wait for this
                    // instance.
                    state.settle(self, Held { place, value }, effects);
                }
            }
            state.live() > self.bounds.kept
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
            if version < self.version.load(Ordering::Relaxed) {
                effects.dropped.extend(started);
                return (Ok(()), current);
            }
            self.version.store(version, Ordering::Relaxed);
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
                    state.settle(self, Held { place, value }, effects);
                }
            }
            effects.call_keeper |= state.next_start(self.bounds).is_some() || state.live() > self.bounds.kept;
            (Ok(()), old)
        });
        switched
    }

    /// Closes the queue to all calls but those that a running call waits for. Calls that already
    /// wait are still served.
    pub(crate) fn close(&self) {
        self.with_state(|state, effects| {
            state.closed = true;
            state.publish(self);
            for (place, home) in self.places.iter().enumerate() {
                if let Some(value) = home.slot.take() {
                    // Not simply dropped: a call may have begun to wait for this instance.
                    state.settle(self, Held { place, value }, effects);
                }
            }
            effects.wake.append(&mut state.hopeful);
            state.look_for_end(effects);
        });
    }

    /// Refuses all calls that still wait, and all later ones. Returns how many waited.
    pub(crate) fn cut(&self) -> usize {
        self.with_state(|state, effects| {
            state.cut = true;
            let cut = state.refuse_all(&Refusal::Cut, effects);
            state.publish(self);
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
            if !state.mourners.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.mourners.push(cx.waker().clone());
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let departure = self.queue.with_state(|state, effects| state.leave(self.queue, &ticket, effects));
        match departure {
            Departure::Granted(held) => self.queue.put(held),
            Departure::Queued(waker) => drop(waker),
            Departure::Done => {}
        }
    }
}
