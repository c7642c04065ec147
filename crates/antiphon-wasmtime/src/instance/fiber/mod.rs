//! Guests on a stack of their own, which they can leave to wait.

mod resident;

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use antiphon::errors::Error;
use antiphon::{Conversation, Yield};
use wasmtime::{Instance as Wasm, InstancePre, Store, TypedFunc, UpdateDeadline};

pub(super) use self::resident::Resident;
use super::Guest;
use super::data::Data;
use super::stack::{Moved, Place};

/// How a guest runs on a stack of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fiber {
    /// Whether the guest yields to its executor at each tick.
    pub(super) yields: bool,
}

impl Fiber {
    /// Keeps a started guest on its stack.
    pub(super) fn reside(self, guest: Guest, conversation: &Conversation) -> Resident {
        Resident::new(guest, conversation.spare())
    }

    /// Makes an instance, and runs its start section.
    pub(super) fn instantiate(
        self,
        pre: &InstancePre<Data>,
        store: &mut Store<Data>,
    ) -> Interruptible<impl Future<Output = wasmtime::Result<Wasm>>> {
        Interruptible::new(pre.instantiate_async(store))
    }

    /// Runs an init export.
    pub(super) fn run(
        self,
        export: &TypedFunc<(), ()>,
        store: &mut Store<Data>,
    ) -> Interruptible<impl Future<Output = wasmtime::Result<()>>> {
        Interruptible::new(export.call_async(store, ()))
    }

    /// Leaves the guest's stack at a tick, if it is to give way.
    pub(super) fn give_way(self) -> Option<UpdateDeadline> {
        self.yields.then(|| UpdateDeadline::YieldCustom(0, Box::pin(Yield::default())))
    }
}

impl Guest {
    /// Runs `__guest_call` on a fiber, however long it waits.
    ///
    /// # Cancel safety
    /// A dropped call leaves a conversation in which nothing runs. The instance must not be used
    /// again.
    #[inline]
    async fn run_suspending(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        if self.usual {
            // Armed for one tick from now, because a guest that has just begun need not yield.
            self.store.set_epoch_deadline(1);
        } else {
            self.prepare(conversation)?;
        }
        let lengths = self.begin(conversation);
        self.store.data_mut().yielded = false;
        let returned = OnFiber(pin!(self.guest_call.call_async(&mut self.store, lengths))).await;
        self.end(conversation, returned)
    }
}

/// Runs a guest on a stack of its own, which the engine makes and the guest can leave to wait. Its
/// future stays pinned where it was made, because moving it would cost more than everything else
/// here.
struct OnFiber<'a, F>(Pin<&'a mut F>);

impl<F: Future> Future for OnFiber<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _place = Moved::to(Place::Fiber);
        self.0.as_mut().poll(cx)
    }
}

/// Drops what a waiting guest left on a stack of its own. Those destructors run on that stack and
/// may call other guests, which would find no room there. So the place is set to [`Place::Fiber`].
fn drop_on_fiber<T>(value: T) {
    let _place = Moved::to(Place::Fiber);
    drop(value);
}

/// Runs rare work as [`OnFiber`] does, where the future may be dropped in the middle. What is left
/// on the guest's stack is then dropped there.
pub(super) struct Interruptible<F>(Option<Pin<Box<F>>>);

impl<F: Future> Interruptible<F> {
    fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future> Future for Interruptible<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match &mut self.0 {
            Some(work) => {
                let _place = Moved::to(Place::Fiber);
                work.as_mut().poll(cx)
            }
            None => unreachable!("only its end takes the future away"),
        }
    }
}

impl<F> Drop for Interruptible<F> {
    fn drop(&mut self) {
        drop_on_fiber(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::stack::has_room;

    #[test]
    fn a_start_that_is_dropped_in_the_middle_is_dropped_as_on_a_stack_of_its_own() {
        use std::sync::mpsc;
        use std::task::Waker;

        struct OnDrop(mpsc::Sender<bool>);

        impl Drop for OnDrop {
            fn drop(&mut self) {
                let _ = self.0.send(has_room());
            }
        }

        assert!(has_room(), "a thread of a test");
        let (said, heard) = mpsc::channel();
        let on_drop = OnDrop(said);
        let mut start = Interruptible::new(async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        });
        assert!(Pin::new(&mut start).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(start);
        assert_eq!(heard.try_recv(), Ok(false));
        assert!(has_room(), "back again");
    }
}
