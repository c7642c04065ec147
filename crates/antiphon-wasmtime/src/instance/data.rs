//! What a store carries: the running conversation, and what the imports need beside it.

use antiphon::errors::Error;
use antiphon::growth::Growth;
use antiphon::{Conversation, Limits};
use wasmtime::{Caller, Extern, Memory};

use super::fiber::Fiber;
use super::limiter::Limiter;
use super::wasi::{self, Session};
use crate::engine::Ticks;

/// The data of a store.
pub(super) struct Data {
    /// The running conversation. Between calls it is one in which nothing runs.
    pub(super) conversation: Box<Conversation>,
    /// The guest's memory, known once the instance exists. Start sections run before that.
    pub(super) memory: Option<Memory>,
    pub(super) limiter: Limiter,
    /// How the guest runs on a fiber, if it does.
    pub(super) fiber: Option<Fiber>,
    /// Whether it has just yielded, and the time was not checked since.
    pub(super) yielded: bool,
    /// The epoch ticks that the guest has left, if ticks are counted instead of time.
    pub(super) ticks: Option<Ticks>,
    /// Boxed, because most guests have none, and it is as large as everything before it.
    pub(super) wasi: Option<Session>,
}

impl Data {
    pub(super) fn new(conversation: Box<Conversation>, limits: &Limits) -> Self {
        Self {
            limiter: Limiter(Growth::new(limits)),
            conversation,
            memory: None,
            fiber: None,
            yielded: false,
            ticks: None,
            wasi: None,
        }
    }

    /// Returns whether [`flush_output`](Self::flush_output) can never have anything to flush.
    pub(super) fn is_silent(&self) -> bool {
        self.wasi.is_none()
    }

    /// Ends a guest call or a start, whatever its result: a line that the guest has not ended goes
    /// to the log.
    #[inline]
    pub(super) fn flush_output(&mut self) -> Result<(), Error> {
        wasi::flush(&mut self.wasi, &mut self.conversation)
    }
}

/// Borrows the guest's memory and the store's data at once.
#[cfg(any(feature = "async", feature = "wasi"))]
#[inline(always)]
pub(super) fn split<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    if caller.data().memory.is_none() {
        find_memory(caller);
    }
    split_known(caller)
}

/// Borrows both as [`split`] does, after the memory was looked for. A missing memory is an empty
/// one; only the start section of a module without a memory can see that.
#[inline(always)]
pub(super) fn split_known<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// Looks for the memory while a start section runs, before it is known.
#[cold]
pub(super) fn find_memory(caller: &mut Caller<'_, Data>) {
    let memory = caller.get_export(antiphon::wapc_functions::MEMORY);
    caller.data_mut().memory = memory.and_then(Extern::into_memory);
}
