//! Makes room on the native stack. A straight guest runs on its caller's stack, which may have
//! little room left: the caller's thread is small, or the caller is a handler of another guest. If
//! the stack ended before the guest's own limit, the whole process would end. So the guest gets a
//! new stack where too little room is left. It always gets one if it is called on the stack of a
//! guest that can suspend, because the end of that stack cannot be told from within it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use antiphon::errors::{Error, Resource};
use wasmtime::Engine;

use crate::engine::HOST;

/// The stack that a usual guest and its host functions may need, in bytes. Wasmtime ends such a
/// guest if it uses 512 KiB, and a handler at that depth gets as much again.
pub(super) const ROOM: usize = 1 << 20;

/// What a stack that is made for lack of room has beyond that, in bytes. It is mapped, and costs
/// memory only as far as it is used.
const BEYOND: usize = 3 << 20;

/// Returns the stack in bytes that a guest of an engine and its host functions may need.
pub(super) fn room(engine: &Engine) -> usize {
    engine.get_max_wasm_stack().saturating_add(HOST).max(ROOM)
}

/// The stack that this thread is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The thread's own stack.
    Thread,
    /// A stack that was made for lack of room.
    Segment,
    /// The stack of a guest that can suspend. There, the end of the thread's own stack says
    /// nothing.
    Fiber,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Thread) };
    /// A part of the thread's own stack that is known to have room below it: its lowest address,
    /// and its length. No address of another stack lies in it, so one check settles the common
    /// case. It is forgotten when this thread switches to another stack, because the known part may
    /// have been a stack of another library that is gone since.
    static ROOMY: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Returns whether a guest that runs straight has room here. If not, it needs [`make_room`].
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
    // `None` if the system does not tell. (A stack that another library switched to is taken for
    // the thread's own.)
    let Some(spare) = stacker::remaining_stack().and_then(|left| left.checked_sub(ROOM)) else {
        return false;
    };
    if place == Place::Thread {
        let lowest = here.saturating_sub(spare);
        ROOMY.set(widened(ROOMY.get(), (lowest, here.saturating_sub(lowest).saturating_add(1))));
    }
    true
}

/// Merges what is known of a stack with what was known before, perhaps of another stack. The end of
/// one stack is found to within the frames of the functions that look.
fn widened((known, length): (usize, usize), (lowest, reach): (usize, usize)) -> (usize, usize) {
    let is_same = known.abs_diff(lowest) < ROOM / 2;
    (lowest, if is_same { length.max(reach) } else { reach })
}

/// Runs a function on a new stack with so much room, in bytes.
#[cold]
pub(super) fn make_room<R>(room: usize, run: impl FnOnce() -> wasmtime::Result<R>) -> wasmtime::Result<R> {
    let _place = Moved::to(Place::Segment);
    let size = room.saturating_add(BEYOND);
    // The library panics if the system refuses the stack.
    let begun = Cell::new(false);
    let run = || {
        begun.set(true);
        run()
    };
    match catch_unwind(AssertUnwindSafe(|| stacker::grow(size, run))) {
        Ok(returned) => returned,
        Err(panicked) if begun.get() => resume_unwind(panicked),
        Err(_) => {
            let purpose =
                format_args!("a stack of {size} bytes, because the caller's has too little room left");
            Err(Error::out_of_resources(Resource::Memory, purpose).into())
        }
    }
}

/// Runs a function with so much room, in bytes, on a new stack if necessary. For what happens once
/// in the life of an instance, and for guests with a deeper stack than usual.
pub(super) fn with_room<R>(room: usize, run: impl FnOnce() -> wasmtime::Result<R>) -> wasmtime::Result<R> {
    let is_there = if room <= ROOM { has_room() } else { has_deep_room(room) };
    if is_there { run() } else { make_room(room, run) }
}

/// Returns whether a guest with a deeper stack than usual has room here.
fn has_deep_room(room: usize) -> bool {
    PLACE.get() != Place::Fiber && stacker::remaining_stack().is_some_and(|left| left >= room)
}

/// Restores the previous place at the end, also after a panic.
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
