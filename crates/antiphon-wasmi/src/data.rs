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
    /// The running conversation; one in which nothing runs, between calls.
    pub(crate) conversation: Box<Conversation>,
    /// Known once the instance is there.
    pub(crate) memory: Option<Memory>,
    pub(crate) limiter: Limiter,
    pub(crate) fuel: Fuel,
    /// Whether guest code may be left where it waits for its host, to be resumed later.
    pub(crate) suspends: bool,
    /// Whether it gives way to its executor at each tick.
    pub(crate) yields: bool,
    /// Why an import left guest code.
    pub(crate) left: Option<Left>,
    /// In a box: most guests have none, and it is as large as all else.
    pub(crate) wasi: Option<Box<Session>>,
}

/// Why an import left guest code. wasmi's own error is a mere mark beside it: what it carries cannot be taken out of a
/// suspended call.
pub(crate) enum Left {
    /// For good.
    Failed(Error),
    /// Until the host has answered this call.
    HostCall([i32; 8]),
    /// Until this wait is over.
    Poll(Abi, Wait),
}

/// The error of an import that left guest code.
#[derive(Debug)]
pub(crate) struct Mark;

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an import left the guest's code")
    }
}

impl HostError for Mark {}

impl Data {
    /// Leaves guest code: the error for the import to return.
    #[cold]
    pub(crate) fn leave(&mut self, why: Left) -> wasmi::Error {
        self.left = Some(why);
        wasmi::Error::host(Mark)
    }

    /// Leaves it for good.
    #[cold]
    pub(crate) fn fail(&mut self, error: Error) -> wasmi::Error {
        self.leave(Left::Failed(error))
    }

    /// Ends a guest call or a start, however it ended: what the guest wrote without ending its line goes to the log.
    #[inline]
    pub(crate) fn flush_output(&mut self) -> Result<(), Error> {
        antiphon_wasi::host::flush(self.wasi.as_deref_mut(), &mut self.conversation)
    }
}

/// The guest's memory and the store's data, both at once. It is known before any of the guest's code runs.
#[inline(always)]
pub(crate) fn split<'a>(context: impl Into<StoreContextMut<'a, Data>>) -> (&'a mut [u8], &'a mut Data) {
    let context: StoreContextMut<'a, Data> = context.into();
    match context.data().memory {
        Some(memory) => memory.data_and_store_mut(context),
        None => unreachable!("a module without a memory is refused"),
    }
}
