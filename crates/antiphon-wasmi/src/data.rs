//! What a store carries: the running conversation, and what the imports need beside it.

use std::fmt;

use antiphon::Conversation;
use antiphon::errors::Error;
use antiphon_wasi::{Abi, Session, Wait};
use wasmi::errors::HostError;
use wasmi::{Memory, StoreContextMut};

use crate::fuel::Fuel;
use crate::limiter::Limiter;

/// The data of a store.
pub(crate) struct Data {
    /// The running conversation. Between calls it is one in which nothing runs.
    pub(crate) conversation: Box<Conversation>,
    /// The guest's memory, known once the instance exists.
    pub(crate) memory: Option<Memory>,
    pub(crate) limiter: Limiter,
    /// The size of the stack in bytes, if it is known.
    pub(crate) stack: Option<u64>,
    pub(crate) fuel: Fuel,
    /// Whether guest code may be suspended where it waits for its host, and resumed later.
    pub(crate) suspends: bool,
    /// Whether the guest yields to its executor at each tick.
    pub(crate) yields: bool,
    /// Why an import suspended or ended guest code.
    pub(crate) left: Option<Left>,
    /// Boxed, because most guests have none, and it is as large as everything before it.
    pub(crate) wasi: Option<Box<Session>>,
}

/// Why an import suspended or ended guest code. wasmi's own error is only a mark beside it, because
/// what that error carries cannot be taken out of a suspended call.
pub(crate) enum Left {
    /// The guest has to end.
    Failed(Error),
    /// The guest waits until the host has answered this call.
    HostCall([i32; 8]),
    /// The guest waits until this wait is over.
    Poll(Abi, Wait),
}

/// The error of an import that suspended or ended guest code.
#[derive(Debug)]
pub(crate) struct Mark;

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an import left the guest's code")
    }
}

impl HostError for Mark {}

impl Data {
    /// Notes why an import stops guest code, and returns the error for that import.
    #[cold]
    pub(crate) fn leave(&mut self, why: Left) -> wasmi::Error {
        self.left = Some(why);
        wasmi::Error::host(Mark)
    }

    /// Ends guest code with an error.
    #[cold]
    pub(crate) fn fail(&mut self, error: Error) -> wasmi::Error {
        self.leave(Left::Failed(error))
    }

    /// Ends a guest call or a start, whatever its result: a line that the guest has not ended goes
    /// to the log.
    #[inline]
    pub(crate) fn flush_output(&mut self) -> Result<(), Error> {
        antiphon_wasi::host::flush(self.wasi.as_deref_mut(), &mut self.conversation)
    }
}

/// Borrows the guest's memory and the store's data at once. The memory is known before any code of
/// the guest runs.
#[inline(always)]
pub(crate) fn split<'a>(context: impl Into<StoreContextMut<'a, Data>>) -> (&'a mut [u8], &'a mut Data) {
    let context: StoreContextMut<'a, Data> = context.into();
    match context.data().memory {
        Some(memory) => memory.data_and_store_mut(context),
        None => unreachable!("a module without a memory is refused"),
    }
}
