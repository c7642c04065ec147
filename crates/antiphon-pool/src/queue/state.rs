//! What the lock of a queue guards: what fills each place, which calls wait, and how the one
//! changes the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use super::places::{Bounds, Callers, Held, Places, Serves};
use super::ticket::{Departure, Refusal, Ticket, Turn};

/// The bit of the queue's `attention` that is set when the queue is closed. The bits below count
/// the tickets.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// What fills a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// Empty until a call waits.
    Vacant,
    /// Empty; the keeper has to fill it.
    Wanted(Wanted),
    /// An instance that the keeper is starting.
    Starting,
    /// An instance, which is in the slot, with a call, or on its way between them.
    Live,
}

/// Why an instance has to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A call waits, or the pool has fewer instances than it keeps.
    More,
    /// The previous instance was lost in a call, or had served its number of calls.
    Rebuild,
    /// The previous instance was of an old version.
    Replace,
}

pub(super) struct State<T: Serves> {
    pub(super) current: T::Version,
    fillings: Box<[Filling]>,
    tickets: VecDeque<Arc<Ticket<T>>>,
    /// How many tickets have lost their holder. They are removed together, because finding one
    /// costs a walk.
    left: usize,
    /// Instances of the current version that were started before there was a place for them.
    pub(super) reserve: Vec<Box<T>>,
    /// Why the last start failed; `None` after a start that succeeds.
    pub(super) failing: Option<T::Failure>,
    pub(super) closed: bool,
    /// Whether the queue refuses even the calls that a running call waits for.
    pub(super) cut: bool,
    /// How many places in the queue are promised.
    pub(super) promised: usize,
    /// Wakers of services that wait for such a promise.
    pub(super) promise_wakers: Vec<Waker>,
    /// Wakers of drains that wait for the end.
    pub(super) end_wakers: Vec<Waker>,
}

/// A call that enters the queue.
pub(super) struct Newcomer<'a, C> {
    /// Whether a place in the queue was promised to it.
    pub(super) promised: bool,
    /// The calls that wait for it.
    pub(super) callers: C,
    pub(super) waker: &'a Waker,
}

/// What a call that enters the queue gets.
pub(super) enum Entry<T: Serves> {
    /// A result at once.
    Turn(Turn<T>),
    /// A ticket to wait with.
    Waits(Arc<Ticket<T>>),
}

/// What is left to do after the lock is released: wakers and destructors are foreign code.
pub(super) struct Effects<T> {
    pub(super) wake: Vec<Waker>,
    pub(super) dropped: Vec<Box<T>>,
    pub(super) call_keeper: bool,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self { wake: Vec::new(), dropped: Vec::new(), call_keeper: false }
    }
}

/// The instances of a pool, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) idle: usize,
    pub(crate) busy: usize,
    pub(crate) starting: usize,
    pub(crate) waiting: usize,
}

impl<T: Serves> State<T> {
    pub(super) fn new(bounds: Bounds, current: T::Version) -> Self {
        Self {
            current,
            fillings: vec![Filling::Vacant; bounds.places].into(),
            tickets: VecDeque::new(),
            left: 0,
            reserve: Vec::new(),
            failing: None,
            closed: false,
            cut: false,
            promised: 0,
            promise_wakers: Vec::new(),
            end_wakers: Vec::new(),
        }
    }

    // What the queue holds.

    pub(super) fn filling(&self, place: usize) -> Filling {
        self.fillings.get(place).copied().unwrap_or(Filling::Vacant)
    }

    pub(super) fn fill(&mut self, place: usize, filling: Filling) {
        if let Some(old) = self.fillings.get_mut(place) {
            *old = filling;
        }
    }

    fn count(&self, is: impl Fn(&Filling) -> bool) -> usize {
        self.fillings.iter().filter(|filling| is(filling)).count()
    }

    pub(super) fn live(&self) -> usize {
        self.count(|filling| *filling == Filling::Live)
    }

    pub(super) fn starting(&self) -> usize {
        self.count(|filling| *filling == Filling::Starting)
    }

    pub(super) fn waiting(&self) -> usize {
        self.tickets.len().saturating_sub(self.left)
    }

    /// Returns how many calls wait or have been promised a place in the queue.
    pub(super) fn expected(&self) -> usize {
        self.waiting().saturating_add(self.promised)
    }

    pub(super) fn is_over(&self) -> bool {
        self.closed && self.waiting() == 0 && self.live() == 0 && self.starting() == 0
    }

    /// Publishes in the queue's `attention` what a caller that puts an instance back has to know.
    pub(super) fn publish(&self, places: &Places<T>) {
        let closed = if self.closed { CLOSED } else { 0 };
        // Relaxed is enough, because the exchange on a slot orders it; see `Queue::put`.
        places.attention.store(self.tickets.len() | closed, Ordering::Relaxed);
    }

    /// Returns how many calls may wait or be promised a place. A call that waits for an instance
    /// that still has to be started takes no place in the queue.
    pub(super) fn room(&self, bounds: Bounds) -> usize {
        bounds.waiting.saturating_add(self.count(|filling| *filling != Filling::Live))
    }

    // Waiting.

    /// Returns an instance if one is free, and a ticket otherwise.
    pub(super) fn queue_up(
        &mut self,
        places: &Places<T>,
        newcomer: Newcomer<'_, T::Callers>,
        effects: &mut Effects<T>,
    ) -> Entry<T> {
        let promised = newcomer.promised;
        if promised {
            self.promised = self.promised.saturating_sub(1);
        }
        let entry = self.admit(places, newcomer, effects);
        if promised && matches!(entry, Entry::Turn(_)) {
            // The promised place was not needed.
            self.made_room(effects);
        }
        entry
    }

    fn admit(
        &mut self,
        places: &Places<T>,
        newcomer: Newcomer<'_, T::Callers>,
        effects: &mut Effects<T>,
    ) -> Entry<T> {
        let Newcomer { promised, callers, waker } = newcomer;
        if self.closed && (self.cut || !self.is_awaited(places, &callers)) {
            return Entry::Turn(Err(Refusal::Closed));
        }
        if self.waiting() == 0 {
            // Set before the look into the slots, so that a caller that fills a slot after that
            // look sees it.
            places.attention.store(1, Ordering::Relaxed);
            if let Some(held) = self.find_current(places, effects) {
                self.publish(places);
                return Entry::Turn(Ok(held));
            }
        }
        if let Some(failure) = self.cannot_serve() {
            self.publish(places);
            return Entry::Turn(Err(Refusal::Failing(failure)));
        }
        if self.closes_circle(places, &callers) {
            self.publish(places);
            return Entry::Turn(Err(Refusal::Circle));
        }
        if !promised && self.expected() >= self.room(places.bounds) {
            self.publish(places);
            return Entry::Turn(Err(Refusal::Full));
        }
        let ticket = Ticket::new(waker.clone(), callers);
        self.tickets.push_back(Arc::clone(&ticket));
        self.publish(places);
        effects.call_keeper |= self.next_start(places.bounds).is_some();
        Entry::Waits(ticket)
    }

    /// Returns whether a call that runs here waits for the newcomer.
    fn is_awaited(&self, places: &Places<T>, newcomer: &T::Callers) -> bool {
        (0..self.fillings.len()).any(|place| places.waits_in(place, |instance| newcomer.include(instance)))
    }

    /// Returns whether the newcomer would wait forever, and all other waiting calls with it: every
    /// place is held by a call that waits for the newcomer or for another call in the queue. Then
    /// the newcomer is refused, and the others go on. Any other place becomes free at some time, or
    /// gets an instance again; a place that is being filled is held by no call.
    ///
    /// The answer comes from the tickets in the queue, so nothing has to be counted when a call
    /// comes or leaves. While only calls from outside come, no running call waits for them, and
    /// nothing is searched. A circle through two pools is not seen here. It ends by the depth of
    /// its callers or by a deadline.
    fn closes_circle(&self, places: &Places<T>, newcomer: &T::Callers) -> bool {
        if !self.is_awaited(places, newcomer) {
            return false;
        }
        self.fillings.iter().enumerate().all(|(place, filling)| {
            let waits = |instance| {
                newcomer.include(instance) || self.tickets.iter().any(|ticket| ticket.is_awaited_by(instance))
            };
            *filling == Filling::Live && places.waits_in(place, waits)
        })
    }

    /// Takes a free instance of the current version, and discards those of an old version that it
    /// finds first.
    fn find_current(&mut self, places: &Places<T>, effects: &mut Effects<T>) -> Option<Held<T>> {
        loop {
            let held = places.find()?;
            if places.is_current(&held) {
                return Some(held);
            }
            self.replace_stale(places, held, effects);
        }
    }

    /// Removes the holder of a ticket. The ticket itself stays until half of all tickets have lost
    /// their holder, so that many departures cost little each.
    pub(super) fn leave(
        &mut self,
        places: &Places<T>,
        ticket: &Ticket<T>,
        effects: &mut Effects<T>,
    ) -> Departure<T> {
        let departure = ticket.leave();
        if matches!(departure, Departure::Queued(_)) {
            self.left = self.left.saturating_add(1);
            if self.left.saturating_mul(2) > self.tickets.len() {
                self.tickets.retain(|ticket| !ticket.has_left());
                self.left = 0;
                self.publish(places);
            }
            self.made_room(effects);
            self.look_for_end(effects);
        }
        departure
    }

    /// Wakes services that wait for a promise, because a call has left the queue.
    pub(super) fn made_room(&mut self, effects: &mut Effects<T>) {
        effects.wake.append(&mut self.promise_wakers);
    }

    /// Refuses all calls that wait, and returns how many they were.
    pub(super) fn refuse_all(&mut self, refusal: &Refusal<T::Failure>, effects: &mut Effects<T>) -> usize {
        let before = effects.wake.len();
        effects.wake.extend(self.tickets.drain(..).filter_map(|ticket| ticket.refuse(refusal.clone())));
        let refused = effects.wake.len().saturating_sub(before);
        self.left = 0;
        self.made_room(effects);
        refused
    }

    // Filling places.

    /// Gives an instance of the current version to the first call that waits, or puts it into its
    /// slot if none does.
    pub(super) fn settle(&mut self, places: &Places<T>, mut held: Held<T>, effects: &mut Effects<T>) {
        let Some(home) = places.get(held.place) else { return };
        home.busy.store(true, Ordering::Relaxed);
        while let Some(ticket) = self.tickets.pop_front() {
            match ticket.grant(held) {
                Ok(waker) => {
                    effects.wake.push(waker);
                    self.made_room(effects);
                    return self.publish(places);
                }
                Err(back) => {
                    self.left = self.left.saturating_sub(1);
                    held = back;
                }
            }
        }
        self.publish(places);
        home.busy.store(false, Ordering::Relaxed);
        if self.closed {
            self.fill(held.place, Filling::Vacant);
            effects.dropped.push(held.value);
            return self.look_for_end(effects);
        }
        // No call can begin to wait and no version can change at this point, because both take the
        // lock.
        home.slot.put(held.value);
    }

    /// Discards an instance of an old version.
    pub(super) fn replace_stale(&mut self, places: &Places<T>, held: Held<T>, effects: &mut Effects<T>) {
        effects.dropped.push(held.value);
        self.vacate(places, held.place, Wanted::Replace, effects);
    }

    /// Notes that a place has lost its instance, and fills it from the reserve if there is one.
    pub(super) fn vacate(&mut self, places: &Places<T>, place: usize, why: Wanted, effects: &mut Effects<T>) {
        if let Some(home) = places.get(place) {
            home.busy.store(false, Ordering::Relaxed);
        }
        if let Some(value) = self.reserve.pop() {
            self.fill(place, Filling::Live);
            return self.settle(places, Held { place, value }, effects);
        }
        self.fill(place, Filling::Wanted(why));
        effects.call_keeper = true;
        if let Some(failure) = self.cannot_serve() {
            self.refuse_all(&Refusal::Failing(failure), effects);
            self.publish(places);
        }
        self.look_for_end(effects);
    }

    /// Returns why no call can be served: no instance lives, and the last start failed.
    fn cannot_serve(&self) -> Option<T::Failure> {
        self.failing.clone().filter(|_| self.live() == 0)
    }

    /// Returns the next place to start an instance in.
    pub(super) fn next_start(&self, bounds: Bounds) -> Option<(usize, Wanted)> {
        if self.closed && self.waiting() == 0 {
            return None;
        }
        let wanted = self.fillings.iter().enumerate().find_map(|(place, filling)| match filling {
            Filling::Wanted(why) => Some((place, *why)),
            _ => None,
        });
        let more = || {
            let starting = self.starting();
            let is_short = self.live().saturating_add(starting) < bounds.kept && !self.closed;
            let place = self.fillings.iter().position(|filling| *filling == Filling::Vacant)?;
            (is_short || starting < self.waiting()).then_some((place, Wanted::More))
        };
        wanted.or_else(more)
    }

    pub(super) fn look_for_end(&mut self, effects: &mut Effects<T>) {
        if self.is_over() {
            effects.dropped.append(&mut self.reserve);
            effects.wake.append(&mut self.end_wakers);
        }
    }
}
