//! What handlers note about the guest call that they serve, and whether a call leaves anything to
//! clear.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::id_map::ByNumber;
use crate::survive::lock;

/// What one route has given to one guest call so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) calls: u64,
    /// Bytes of payloads and answers.
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

/// The number of notes whose room the next call may use again.
const KEPT: usize = 64;

/// The notes by the numbers of the routes.
type Notes = HashMap<u64, Spent, ByNumber>;

/// What the routes have spent on a guest call, with one entry a route at most. It belongs to the
/// call's conversation and is cleared with it.
///
/// It allocates nothing before the first note, and nothing in a later call on as few routes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Whether the conversation has anything to clear: the notes, or something it keeps beside
    /// them. Atomic, because a handler has only a shared reference.
    untidy: AtomicBool,
    spent: OnceLock<Box<Mutex<Notes>>>,
}

impl Ledger {
    /// Reads and changes what a route has spent.
    pub(super) fn with<R>(&self, route: u64, change: impl FnOnce(&mut Spent) -> R) -> R {
        self.untidy.store(true, Ordering::Relaxed);
        let mut spent = lock(self.spent.get_or_init(Box::default));
        change(spent.entry(route).or_default())
    }

    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.untidy.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn mark(&mut self) {
        *self.untidy.get_mut() = true;
    }

    /// Forgets the notes of the call.
    pub(crate) fn clear(&mut self) {
        *self.untidy.get_mut() = false;
        if let Some(notes) = self.notes() {
            notes.clear();
            if notes.capacity() > KEPT {
                *notes = Notes::default();
            }
        }
    }

    fn notes(&mut self) -> Option<&mut Notes> {
        Some(self.spent.get_mut()?.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the notes out. The mark stays, for what else the conversation has to clear.
    pub(crate) fn lend(&mut self) -> Self {
        Self { untidy: AtomicBool::new(false), spent: std::mem::take(&mut self.spent) }
    }

    pub(crate) fn take_back(&mut self, mut lent: Self) {
        if lent.is_marked() || lent.notes().is_some_and(|notes| !notes.is_empty()) {
            self.mark();
        }
        self.spent = lent.spent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_by_route_and_cleared_with_the_mark() {
        let mut ledger = Ledger::default();
        assert!(!ledger.is_marked());
        ledger.with(1, |spent| spent.calls += 1);
        ledger.with(1, |spent| spent.calls += 1);
        assert_eq!(ledger.with(2, |spent| spent.calls), 0);
        assert_eq!(ledger.with(1, |spent| spent.calls), 2);
        assert!(ledger.is_marked());
        ledger.clear();
        assert!(!ledger.is_marked());
        assert_eq!(ledger.with(1, |spent| spent.calls), 0);
    }

    #[test]
    fn the_room_of_few_notes_is_kept_and_that_of_many_is_not() {
        let mut ledger = Ledger::default();
        let room = |ledger: &mut Ledger| ledger.notes().map_or(0, |notes| notes.capacity());
        ledger.with(1, |spent| spent.calls += 1);
        let few = room(&mut ledger);
        ledger.clear();
        assert_eq!((few > 0, room(&mut ledger)), (true, few));
        for route in 0..10_000 {
            ledger.with(route, |spent| assert_eq!(*spent, Spent::default()));
        }
        ledger.clear();
        assert_eq!(room(&mut ledger), 0);
    }

    #[test]
    fn lending_moves_the_notes_and_leaves_the_mark() {
        let mut ledger = Ledger::default();
        ledger.mark();
        let lent = ledger.lend();
        assert!(ledger.is_marked() && !lent.is_marked());
        lent.with(7, |spent| spent.bytes = 5);
        ledger.take_back(lent);
        assert_eq!(ledger.with(7, |spent| spent.bytes), 5);

        // Once before the first notes, and once with the room of earlier ones.
        for mut clean in [Ledger::default(), {
            ledger.clear();
            ledger
        }] {
            let lent = clean.lend();
            clean.take_back(lent);
            assert!(!clean.is_marked(), "a host call without notes leaves nothing to clear");
        }
    }
}
