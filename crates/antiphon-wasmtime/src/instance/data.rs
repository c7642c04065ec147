//! What a store carries: the running conversation, and what the imports need beside it.

use antiphon::errors::Error;
use antiphon::growth::Growth;
use antiphon::{Conversation, Limits};
use wasmtime::{Caller, Extern, Memory, UpdateDeadline};

use super::fiber::Fiber;
use super::limiter::Limiter;
use super::wasi::{self, Directories, Session};
use crate::engine::Ticks;

/// The data of a store.
pub(super) struct Data {
    /// The running conversation; one in which nothing runs, between calls.
    pub(super) conversation: Box<Conversation>,
    /// Known once the instance is there. Start sections run earlier.
    pub(super) memory: Option<Memory>,
    pub(super) limiter: Limiter,
    /// How the guest runs on a fiber, if it does.
    pub(super) fiber: Option<Fiber>,
    /// Whether it has just given way, and has not been looked at since.
    pub(super) yielded: bool,
    /// Ticks that the guest has left, where they are counted instead of the time.
    pub(super) ticks: Option<Ticks>,
    /// In a box, as its like is: most guests have none, and it is as large as all else.
    pub(super) wasi: Option<Session>,
    pub(super) directories: Option<Directories>,
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
            directories: None,
        }
    }

    /// Decides, at each tick that passes while guest code runs, whether it may run on.
    pub(super) fn on_tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
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
        if let Some(give_way) = self.fiber.and_then(Fiber::give_way) {
            self.yielded = true;
            return Ok(give_way);
        }
        Ok(UpdateDeadline::Continue(1))
    }

    /// Whether the guest may run on, asked by an import that takes a while: the engine looks in loops, at the beginning of
    /// functions and before bulk operations, but not between imports that stand in a straight line.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Error> {
        check(&self.conversation, self.ticks.as_ref())
    }

    /// Whether there is nothing that [`flush_output`](Self::flush_output) would ever flush.
    pub(super) fn is_silent(&self) -> bool {
        self.wasi.is_none() && self.directories.is_none()
    }

    /// Ends a guest call or a start, however it ended: what the guest wrote without ending its line goes to the log.
    #[inline]
    pub(super) fn flush_output(&mut self) -> Result<(), Error> {
        wasi::flush(&mut self.wasi, &mut self.conversation)?;
        if self.directories.is_some() {
            wasi::flush_directories(self)?;
        }
        Ok(())
    }
}

/// Whether a guest may run on, given what its store has.
#[inline]
pub(super) fn check(conversation: &Conversation, ticks: Option<&Ticks>) -> Result<(), Error> {
    conversation.check()?;
    ticks.map_or(Ok(()), Ticks::check)
}

/// The guest's memory and the store's data, both at once.
#[cfg(any(feature = "async", feature = "wasi"))]
#[inline(always)]
pub(super) fn split<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    if caller.data().memory.is_none() {
        find_memory(caller);
    }
    split_known(caller)
}

/// The same where the memory was looked for. None, which only the start section of a module without one can see, is an
/// empty one.
#[inline(always)]
pub(super) fn split_known<'a>(caller: &'a mut Caller<'_, Data>) -> (&'a mut [u8], &'a mut Data) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// Looks for the memory in a start section, where it is not known yet.
#[cold]
pub(super) fn find_memory(caller: &mut Caller<'_, Data>) {
    let memory = caller.get_export(antiphon::wapc_functions::MEMORY);
    caller.data_mut().memory = memory.and_then(Extern::into_memory);
}
