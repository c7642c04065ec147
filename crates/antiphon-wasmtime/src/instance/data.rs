//! What a store carries: the running conversation, and what the imports need beside it.

use antiphon::errors::Error;
use antiphon::growth::Growth;
use antiphon::{Conversation, Limits};
use wasmtime::{Caller, Extern, Memory, UpdateDeadline};

use crate::engine::ticks::Ticks;
use crate::instance::limiter::Limiter;

/// The data of a store.
pub(crate) struct Data {
    /// The running conversation; one in which nothing runs, between calls.
    pub(crate) conversation: Box<Conversation>,
    /// Known once the instance is there. Start sections run earlier.
    pub(crate) memory: Option<Memory>,
    pub(crate) limiter: Limiter,
    /// Whether the guest runs on a fiber that gives way to its executor at each tick.
    pub(crate) yields: bool,
    /// Whether it has just given way, and has not been looked at since.
    pub(crate) yielded: bool,
    /// Ticks that the guest has left, where they are counted instead of the time.
    pub(crate) ticks: Option<Ticks>,
    /// In a box, as its like is: most guests have none, and it is as large as all else.
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Option<Box<antiphon_wasi::Session>>,
    #[cfg(feature = "wasi-fs")]
    pub(crate) fs: Option<Box<crate::instance::wasi::directories::Fs>>,
}

impl Data {
    pub(crate) fn new(conversation: Box<Conversation>, limits: &Limits) -> Self {
        Self {
            limiter: Limiter(Growth::new(limits)),
            conversation,
            memory: None,
            yields: false,
            yielded: false,
            ticks: None,
            #[cfg(feature = "wasi")]
            wasi: None,
            #[cfg(feature = "wasi-fs")]
            fs: None,
        }
    }

    /// Decides, at each tick that passes while guest code runs, whether it may run on.
    pub(crate) fn on_tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        // Others may have taken their time: without this look the guest would run on for a tick.
        if std::mem::take(&mut self.yielded) {
            self.check()?;
            return Ok(UpdateDeadline::Continue(1));
        }
        // Our typed error rather than `Interrupt`: it comes out of the guest call as it is.
        self.conversation.check()?;
        if let Some(ticks) = &mut self.ticks {
            ticks.on_tick()?;
        }
        #[cfg(any(feature = "async", feature = "wasi-fs"))]
        if self.yields {
            self.yielded = true;
            return Ok(UpdateDeadline::YieldCustom(0, Box::pin(antiphon::Yield::default())));
        }
        Ok(UpdateDeadline::Continue(1))
    }

    /// Whether the guest may run on, asked by an import that takes a while: the engine looks in loops, at the beginning of
    /// functions and before bulk operations, but not between imports that stand in a straight line.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        check(&self.conversation, self.ticks.as_ref())
    }

    /// Whether there is nothing that [`flush_output`](Self::flush_output) would ever flush.
    pub(crate) fn is_silent(&self) -> bool {
        #[cfg(feature = "wasi")]
        if self.wasi.is_some() {
            return false;
        }
        #[cfg(feature = "wasi-fs")]
        if self.fs.is_some() {
            return false;
        }
        true
    }

    /// Ends a guest call or a start, however it ended: what the guest wrote without ending its line goes to the log.
    #[inline]
    pub(crate) fn flush_output(&mut self) -> Result<(), Error> {
        #[cfg(feature = "wasi")]
        antiphon_wasi::host::flush(self.wasi.as_deref_mut(), &mut self.conversation)?;
        #[cfg(feature = "wasi-fs")]
        if self.fs.is_some() {
            crate::instance::wasi::directories::flush(self)?;
        }
        Ok(())
    }
}

/// Whether a guest may run on, given what its store has.
#[inline]
pub(crate) fn check(conversation: &Conversation, ticks: Option<&Ticks>) -> Result<(), Error> {
    conversation.check()?;
    ticks.map_or(Ok(()), Ticks::check)
}

/// The guest's memory and the store's data, both at once.
#[cfg(any(feature = "async", feature = "wasi"))]
#[inline(always)]
pub(crate) fn split<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    if caller.data().memory.is_none() {
        find_memory(caller);
    }
    split_known(caller)
}

/// The same where the memory was looked for. None, which only the start section of a module without one can see, is an
/// empty one.
#[inline(always)]
pub(crate) fn split_known<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// Looks for the memory in a start section, where it is not known yet.
#[cold]
pub(crate) fn find_memory(caller: &mut Caller<'_, Data>) {
    let memory = caller.get_export(antiphon::wapc_functions::MEMORY);
    caller.data_mut().memory = memory.and_then(Extern::into_memory);
}
