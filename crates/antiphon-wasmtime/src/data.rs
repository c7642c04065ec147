//! What a store carries: the running conversation, and what the imports need beside it.

use antiphon::errors::Error;
use antiphon::growth::Growth;
use antiphon::{Conversation, Limits};
use wasmtime::{Caller, Extern, Memory, UpdateDeadline};

use crate::limiter::Limiter;
use crate::ticks::Ticks;

/// The data of a store.
pub(crate) struct Data {
    /// The running conversation. Between calls it is one in which nothing runs.
    pub(crate) conversation: Box<Conversation>,
    /// The guest's memory, known once the instance exists. Start sections run before that.
    pub(crate) memory: Option<Memory>,
    pub(crate) limiter: Limiter,
    /// Whether the guest runs on a fiber that yields to its executor at each tick.
    pub(crate) yields: bool,
    /// Whether it has just yielded, and the time was not checked since.
    pub(crate) yielded: bool,
    /// The epoch ticks that the guest has left, if ticks are counted instead of time.
    pub(crate) ticks: Option<Ticks>,
    /// Boxed, as `fs` is: most guests have neither, and each is as large as everything before it.
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Option<Box<antiphon_wasi::Session>>,
    #[cfg(feature = "wasi-fs")]
    pub(crate) fs: Option<Box<crate::wasi_fs::Fs>>,
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
        // Other tasks may have run for long. Without this check the guest would run on for a tick.
        if std::mem::take(&mut self.yielded) {
            self.check()?;
            return Ok(UpdateDeadline::Continue(1));
        }
        // This returns our typed error instead of `Interrupt`. It comes out of the guest call
        // unchanged.
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

    /// Checks whether the guest may run on, for imports that take long. The engine checks in loops,
    /// at the beginning of functions, and before bulk operations, but not between imports that are
    /// called in a straight line.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        check(&self.conversation, self.ticks.as_ref())
    }

    /// Returns whether [`flush_output`](Self::flush_output) can never have anything to flush.
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

    /// Ends a guest call or a start, whatever its result: a line that the guest has not ended goes
    /// to the log.
    #[inline]
    pub(crate) fn flush_output(&mut self) -> Result<(), Error> {
        #[cfg(feature = "wasi")]
        antiphon_wasi::host::flush(self.wasi.as_deref_mut(), &mut self.conversation)?;
        #[cfg(feature = "wasi-fs")]
        if self.fs.is_some() {
            crate::wasi_fs::flush(self)?;
        }
        Ok(())
    }
}

/// Checks whether a guest may run on, given parts of its store's data.
#[inline]
pub(crate) fn check(conversation: &Conversation, ticks: Option<&Ticks>) -> Result<(), Error> {
    conversation.check()?;
    ticks.map_or(Ok(()), Ticks::check)
}

/// Borrows the guest's memory and the store's data at once.
#[cfg(any(feature = "async", feature = "wasi"))]
#[inline(always)]
pub(crate) fn split<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    if caller.data().memory.is_none() {
        find_memory(caller);
    }
    split_known(caller)
}

/// Borrows both as [`split`] does, after the memory was looked for. A missing memory is an empty
/// one; only the start section of a module without a memory can see that.
#[inline(always)]
pub(crate) fn split_known<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// Looks for the memory while a start section runs, before it is known.
#[cold]
pub(crate) fn find_memory(caller: &mut Caller<'_, Data>) {
    let memory = caller.get_export(antiphon::wapc_functions::MEMORY);
    caller.data_mut().memory = memory.and_then(Extern::into_memory);
}
