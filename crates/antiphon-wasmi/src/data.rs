//! What a store carries: the running conversation, and what the imports need beside it.

use std::fmt;

use antiphon::errors::Error;
use antiphon::{Conversation, Limits};
use wasmi::errors::HostError;
use wasmi::{Caller, Extern, Memory, Store};

use crate::fuel::Fuel;
use crate::limiter::Limiter;

/// The data of a store.
pub(crate) struct Data {
    /// The running conversation; one in which nothing runs, between calls.
    pub(crate) conversation: Box<Conversation>,
    /// Known once the instance is there. The start section of a module that the caller compiled runs earlier.
    pub(crate) memory: Option<Memory>,
    pub(crate) limiter: Limiter,
    pub(crate) fuel: Fuel,
    /// Whether guest code may be left, to be resumed later.
    pub(crate) suspends: bool,
    /// Why an import left guest code.
    pub(crate) left: Option<Left>,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Option<antiphon_wasi::Session>,
}

/// Why an import left guest code. wasmi's own error is a mere mark beside it: what it carries cannot be taken out of a
/// suspended call.
pub(crate) enum Left {
    /// For good.
    Failed(Error),
    /// Until the host has answered this call.
    HostCall([i32; 8]),
    /// Until this wait is over.
    #[cfg(feature = "wasi")]
    Poll(antiphon_wasi::Abi, antiphon_wasi::Wait),
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
    pub(crate) fn new(conversation: Box<Conversation>, limits: &Limits, fuel: Fuel) -> Self {
        Self {
            conversation,
            memory: None,
            limiter: Limiter::new(limits),
            fuel,
            suspends: false,
            left: None,
            #[cfg(feature = "wasi")]
            wasi: None,
        }
    }

    /// Leaves guest code: the error for the import to return.
    #[cold]
    pub(crate) fn leave(&mut self, why: Left) -> wasmi::Error {
        self.left = Some(why);
        wasmi::Error::host(Mark)
    }

    /// Ends a guest call or a start, however it ended: what the guest wrote without ending its line goes to the log.
    #[inline]
    pub(crate) fn flush_output(&mut self) -> Result<(), Error> {
        #[cfg(feature = "wasi")]
        if let Some(session) = &mut self.wasi {
            return antiphon_wasi::host::flush(session, &mut self.conversation);
        }
        Ok(())
    }
}

/// The guest's memory and the store's data, both at once. No memory, which only a start section of a module without
/// one can see, is an empty one.
#[inline(always)]
pub(crate) fn split<'a>(guest: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    match guest.data().memory.or_else(|| find_memory(guest)) {
        Some(memory) => memory.data_and_store_mut(guest),
        None => (&mut [], guest.data_mut()),
    }
}

#[cold]
fn find_memory(guest: &Caller<'_, Data>) -> Option<Memory> {
    guest.get_export(antiphon::wapc_functions::MEMORY).and_then(Extern::into_memory)
}

/// The same between two pieces of guest code.
pub(crate) fn split_store(store: &mut Store<Data>) -> (&mut [u8], &mut Data) {
    match store.data().memory {
        Some(memory) => memory.data_and_store_mut(store),
        None => (&mut [], store.data_mut()),
    }
}
