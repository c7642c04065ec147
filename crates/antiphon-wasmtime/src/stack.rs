//! Room on the native stack. A straight guest runs on its caller's stack, of which little may be left: the caller's thread
//! is small, or it is a handler of another guest. Where the stack ends before the guest's own limit does, the process ends.

use std::cell::Cell;
#[cfg(any(feature = "async", feature = "wasi-fs"))]
use std::pin::Pin;
#[cfg(any(feature = "async", feature = "wasi-fs"))]
use std::task::{Context, Poll};

/// What a guest and the host functions that it calls may need: wasmtime ends a guest that uses 512 KiB, and a handler at
/// that depth has as much again.
const ROOM: usize = 1 << 20;

/// A stack where there is not enough room, in bytes; mapped, and paid for only as far as it is used.
const SEGMENT: usize = 4 << 20;

/// Which stack this thread is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
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
    /// address of another stack lies in it, so one look settles the common case.
    static ROOMY: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Whether a guest that runs straight has room here; else it needs [`make_room`].
#[inline(always)]
pub(crate) fn has_room() -> bool {
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
        let (_, length) = ROOMY.get();
        ROOMY.set((lowest, length.max(here.saturating_sub(lowest).saturating_add(1))));
    }
    true
}

/// Runs something on a stack that is made for it.
#[cold]
pub(crate) fn make_room<R>(run: impl FnOnce() -> R) -> R {
    let _place = Moved::to(Place::Segment);
    stacker::grow(SEGMENT, run)
}

/// Runs something that happens once in the life of an instance, with room.
pub(crate) fn with_room<R>(run: impl FnOnce() -> R) -> R {
    if has_room() { run() } else { make_room(run) }
}

/// Runs a guest on a stack of its own, which the engine makes, and which the guest can leave to wait. Its future is
/// pinned where it was made: to move it costs more than all else that is done here.
#[cfg(any(feature = "async", feature = "wasi-fs"))]
pub(crate) struct OnFiber<'a, F>(pub(crate) Pin<&'a mut F>);

#[cfg(any(feature = "async", feature = "wasi-fs"))]
impl<F: Future> Future for OnFiber<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _place = Moved::to(Place::Fiber);
        self.0.as_mut().poll(cx)
    }
}

/// Goes back at the end, also where a panic passes.
struct Moved {
    from: Place,
}

impl Moved {
    #[inline]
    fn to(place: Place) -> Self {
        Self { from: PLACE.replace(place) }
    }
}

impl Drop for Moved {
    #[inline]
    fn drop(&mut self) {
        PLACE.set(self.from);
    }
}
