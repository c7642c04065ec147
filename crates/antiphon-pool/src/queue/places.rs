//! The places of a pool, the slot of each, and what a caller has to look at beside them.
//!
//! The pool has a fixed number of places. An instance fills one, and while it is free it lies in
//! the place's slot. A call that takes it from there is served.

use std::sync::atomic::{self, AtomicBool, Ordering};

use crate::sync::{AtomicU64, AtomicUsize, Slot, hint, set_hint};

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

/// An instance, with the place of the pool that it fills.
pub(crate) struct Held<T> {
    pub(crate) place: usize,
    pub(crate) value: Box<T>,
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

/// All places, with what is read of a queue without its lock.
pub(super) struct Places<T> {
    places: Box<[Place<T>]>,
    /// Not 0 if a caller that puts an instance back has to do more than fill its slot. Written only
    /// under the state's lock.
    pub(super) attention: AtomicUsize,
    /// The number of the version that serves. Written only under the state's lock.
    pub(super) version: AtomicU64,
    pub(super) bounds: Bounds,
}

/// A place of the pool. It has a cache line of its own, or two for processors that fetch lines in
/// pairs.
#[repr(align(128))]
pub(super) struct Place<T> {
    pub(super) slot: Slot<T>,
    /// For statistics only: whether a call holds its instance.
    pub(super) busy: AtomicBool,
    /// The number of the instance that the last call in this place ran in. It is not part of the
    /// model: a reader of this number has met that call under the lock since the write.
    last_instance: atomic::AtomicU64,
}

impl<T: Serves> Places<T> {
    /// Creates places that are vacant.
    pub(super) fn new(bounds: Bounds, version: u64) -> Self {
        let place = |_| Place {
            slot: Slot::empty(),
            busy: AtomicBool::new(false),
            last_instance: atomic::AtomicU64::new(0),
        };
        Self {
            places: (0..bounds.places).map(place).collect(),
            attention: AtomicUsize::new(0),
            version: AtomicU64::new(version),
            bounds,
        }
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&Place<T>> {
        self.places.get(place)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Place<T>> {
        self.places.iter()
    }

    #[inline]
    pub(super) fn is_current(&self, held: &Held<T>) -> bool {
        held.value.version() == self.version.load(Ordering::Relaxed)
    }

    /// Takes any free instance, of whatever version. A thread looks first into the slot that it
    /// used last.
    #[inline]
    pub(super) fn find(&self) -> Option<Held<T>> {
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

    /// Notes that a call begins to run in the instance of this number, in a place that the caller
    /// holds.
    #[inline]
    pub(super) fn occupy(&self, place: usize, instance: u64) {
        if let Some(home) = self.places.get(place)
            && home.last_instance.load(Ordering::Relaxed) != instance
        {
            home.last_instance.store(instance, Ordering::Relaxed);
        }
    }

    /// Returns whether the call in this place waits for a call that `is_awaited_by` knows.
    pub(super) fn waits_in(&self, place: usize, is_awaited_by: impl Fn(u64) -> bool) -> bool {
        match self.places.get(place).map(|home| home.last_instance.load(Ordering::Relaxed)) {
            None | Some(0) => false,
            Some(instance) => is_awaited_by(instance),
        }
    }
}
