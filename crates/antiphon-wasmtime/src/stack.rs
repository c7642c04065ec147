//! Room on the native stack. A straight guest runs on its caller's stack, of which little may be left: the caller's thread
//! is small, or it is a handler of another guest. Where the stack ends before the guest's own limit does, the process ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;

/// What a guest and the host functions that it calls may need: wasmtime ends a guest that uses 512 KiB, and a handler at
/// that depth has as much again.
const ROOM: usize = 1 << 20;

/// A stack where there is not enough room, in bytes; mapped, and paid for only as far as it is used.
const SEGMENT: usize = 4 << 20;

thread_local! {
    /// Whether this thread is on the stack of a guest that can suspend. There, where the thread's own stack ends says
    /// nothing.
    static ON_FIBER: Cell<bool> = const { Cell::new(false) };
}

/// Runs a guest straight, on a stack of its own if this one is almost used up.
#[inline]
pub(crate) fn with_room<R>(run: impl FnOnce() -> R) -> R {
    if ON_FIBER.get() { on_segment(run) } else { stacker::maybe_grow(ROOM, SEGMENT, run) }
}

#[cold]
fn on_segment<R>(run: impl FnOnce() -> R) -> R {
    let _off = Mark::set(false);
    stacker::grow(SEGMENT, run)
}

/// Runs a guest on a stack of its own, which the engine makes, and which the guest can leave to wait.
#[cfg(any(feature = "async", feature = "wasi-fs"))]
#[inline]
pub(crate) async fn on_fiber<F: Future>(run: F) -> F::Output {
    let mut run = pin!(run);
    poll_fn(|cx| {
        let _on = Mark::set(true);
        run.as_mut().poll(cx)
    })
    .await
}

/// Restores the mark, also where a panic passes.
struct Mark(bool);

impl Mark {
    #[inline]
    fn set(on_fiber: bool) -> Self {
        Self(ON_FIBER.replace(on_fiber))
    }
}

impl Drop for Mark {
    #[inline]
    fn drop(&mut self) {
        ON_FIBER.set(self.0);
    }
}
