//! Room on the native stack. A straight guest runs on its caller's stack, of which little may be left: the caller's thread
//! is small, or it is a handler of another guest. Where the stack ends before the guest's own limit does, the process ends.

use std::cell::Cell;

/// What a guest and the host functions that it calls may need: wasmtime ends a guest that uses 512 KiB, and a handler at
/// that depth has as much again.
const ROOM: usize = 1 << 20;

/// A stack where there is not enough room, in bytes; mapped, and paid for only as far as it is used.
const SEGMENT: usize = 4 << 20;

/// Which stack this thread is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its own.
    Thread,
    /// One that was made for want of room.
    Segment,
    /// That of a guest that can suspend. There, where the thread's own stack ends says nothing.
    Fiber,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Thread) };
    /// A part of the thread's own stack that is known to have room below it: its lowest address, and its length. No
    /// address of another stack lies in it, so one look settles the common case. Forgotten where another stack is switched
    /// to: what another library had switched to, and is gone since, may have been taken for the thread's.
    static ROOMY: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Whether a guest that runs straight has room here; else it needs [`make_room`].
#[inline(always)]
pub(super) fn has_room() -> bool {
    let here = 0_u8;
    let here = std::ptr::from_ref(&here).addr();
    let (lowest, length) = ROOMY.get();
    here.wrapping_sub(lowest) < length || look(here)
}

#[cold]
fn look(here: usize) -> bool {
    let place = PLACE.get();
    if place == Place::Fiber {
        return false;
    }
    // Unknown where the system does not tell. (A stack that another library switched to is taken for the thread's.)
    let Some(spare) = stacker::remaining_stack().and_then(|left| left.checked_sub(ROOM)) else {
        return false;
    };
    if place == Place::Thread {
        let lowest = here.saturating_sub(spare);
        ROOMY.set(widened(ROOMY.get(), (lowest, here.saturating_sub(lowest).saturating_add(1))));
    }
    true
}

/// What is known of a stack, given what was known before, perhaps of another one: the ends of one are found to within the
/// frames of who looks.
fn widened((known, length): (usize, usize), (lowest, reach): (usize, usize)) -> (usize, usize) {
    let is_same = known.abs_diff(lowest) < ROOM / 2;
    (lowest, if is_same { length.max(reach) } else { reach })
}

/// Runs something on a stack that is made for it.
#[cold]
pub(super) fn make_room<R>(run: impl FnOnce() -> R) -> R {
    let _place = Moved::to(Place::Segment);
    stacker::grow(SEGMENT, run)
}

/// Runs something that happens once in the life of an instance, with room.
pub(super) fn with_room<R>(run: impl FnOnce() -> R) -> R {
    if has_room() { run() } else { make_room(run) }
}

/// Goes back at the end, also where a panic passes.
pub(super) struct Moved {
    from: Place,
}

impl Moved {
    #[inline]
    pub(super) fn to(place: Place) -> Self {
        ROOMY.set((0, 0));
        Self { from: PLACE.replace(place) }
    }
}

impl Drop for Moved {
    #[inline]
    fn drop(&mut self) {
        PLACE.set(self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_one_stack_says_nothing_of_another() {
        let (first, second) = (64 << 20, 128 << 20);
        assert_eq!(widened((0, 0), (first, 10)), (first, 10));
        assert_eq!(widened((first, 10), (first + 64, 7_000)), (first + 64, 7_000));
        assert_eq!(widened((first + 64, 7_000), (first, 10)), (first, 7_000));
        assert_eq!(widened((first, 7_000), (second, 10)), (second, 10));
    }
}
