//! The synchronous host, and the path of a call from top to bottom.
//!
//! On the call path we avoid two patterns that stall a load on pending stores: merging one value
//! from two branches, and storing a value in halves and loading it whole. So a payload is taken
//! apart before anything can fail, and a rare path takes a value and gives it back instead of
//! borrowing it.

use std::fmt;
use std::sync::Arc;

use antiphon_protocol::Payload;

use super::builder::HostBuilder;
use super::gate::Inside;
use super::slot::{Core, Slot, rebuild_error};
use crate::call::{Isolation, Options, Request, Response, Terms, block_on};
use crate::conversation::{InPlace, Output, Reused, answer_in_place, payload_in_place};
use crate::engine::WebAssemblyEngineProvider;
use crate::engine::wapc2::ModuleState;
use crate::errors::{BoxError, Error, ErrorKind, Result};
use crate::handler::{Handler, HostCallback};
use crate::time::ticker::Awake;

type Engine = dyn WebAssemblyEngineProvider + Send;
type Held<'a> = Inside<'a, Slot<Engine, ModuleState>>;

/// Runs one guest for callers on any thread.
///
/// The host serves one call at a time, in order. A call that may leave the guest half-changed (a
/// trap, a deadline, a cancel) costs the instance: the host discards it with its memory, and the
/// next call builds a fresh one.
///
/// ```
/// use antiphon::{WapcHost, testing::TestEngine};
///
/// let engine = TestEngine::new().operation("greet", |name| Ok([b"hello ", name].concat()));
/// let host = WapcHost::new(Box::new(engine), None)?;
/// assert_eq!(host.call("greet", b"world")?, b"hello world");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[must_use]
pub struct WapcHost {
    core: Core<Engine, ModuleState>,
}

impl WapcHost {
    /// Returns a builder that also takes limits, a handler and a log.
    pub fn builder(engine: Box<Engine>) -> HostBuilder<Engine> {
        HostBuilder::new(engine)
    }

    pub(super) fn start(builder: HostBuilder<Engine>) -> Result<Self> {
        let (engine, shared) = builder.into_parts();
        let factory = engine.factory();
        let host = Self { core: Core::new(engine, shared)? };
        host.core.set_factory(factory);
        let mut slot = block_on(host.core.queue_for_replacement())?;
        init(&mut slot, host.core.init_terms())?;
        slot.retire();
        drop(slot);
        Ok(host)
    }

    /// Returns the host's number, which is unique in the process. Callbacks get it as their first
    /// argument.
    pub fn id(&self) -> u64 {
        self.core.id()
    }

    /// Returns whether calls share an instance: the stricter of the host's and the provider's
    /// setting.
    pub fn isolation(&self) -> Isolation {
        self.core.isolation()
    }

    /// Calls an operation of the guest and returns its answer.
    ///
    /// # Errors
    /// Any [`ErrorKind`](crate::errors::ErrorKind) that a call can end with; each kind says when.
    pub fn call(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.run(|| Request::new(op, payload), &mut answer)?;
        Ok(answer)
    }

    /// Calls an operation with options.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_with(&self, request: Request<'_>) -> Result<Response> {
        let mut response = Response::default();
        self.run(|| request, &mut response)?;
        Ok(response)
    }

    /// Calls an operation, writes the answer over `answer`, and returns its length in bytes. The
    /// capacity of `answer` is used again.
    ///
    /// # Errors
    /// Those of [`call`](Self::call); `answer` is empty then.
    pub fn call_into(&self, op: &str, payload: &[u8], answer: &mut Vec<u8>) -> Result<usize> {
        answer.clear();
        self.run(|| Request::new(op, payload), &mut Reused(answer))?;
        Ok(answer.len())
    }

    /// Calls an operation and reads the answer in place, in the guest's memory, without a copy.
    ///
    /// With an owned payload, the host copies neither the payload nor the answer. Only
    /// [`call_with`](Self::call_with) reports what the call used.
    ///
    /// `read` runs inside the guest's `__guest_response`. It runs once for each response that the
    /// guest sets, which may be more than one; the result of the last run counts. That is why it is
    /// an `FnMut`. The call may still fail after `read` ran, and `read` must not call this host.
    ///
    /// ```
    /// use antiphon::{Request, WapcHost, testing::TestEngine};
    ///
    /// let engine = TestEngine::new().operation("greet", |name| Ok([b"hello ", name].concat()));
    /// let host = WapcHost::new(Box::new(engine), None)?;
    /// let length = host.call_ref(Request::new("greet", b"world".to_vec()), |answer| answer.len())?;
    /// assert_eq!(length, 11);
    /// # Ok::<(), antiphon::errors::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`call`](Self::call). A panic of `read` is
    /// [`HostPanicked`](crate::errors::ErrorKind::HostPanicked).
    #[inline]
    pub fn call_ref<R>(&self, request: Request<'_>, mut read: impl FnMut(&[u8]) -> R) -> Result<R> {
        let mut result = None;
        let mut reader = |answer: &[u8]| result = Some(read(answer));
        answer_in_place::with(&mut reader, || self.run(|| request, &mut InPlace))?;
        result.ok_or_else(|| Error::new(ErrorKind::Engine, "the engine answered without a response"))
    }

    /// Replaces the module. The new module is compiled and started beside the running calls, then
    /// takes over at once.
    ///
    /// # Errors
    /// [`ReplaceFailed`](crate::errors::ErrorKind::ReplaceFailed), with the reason as its source;
    /// the old module serves on.
    pub fn replace_module(&self, module: &[u8]) -> Result<()> {
        self.core.refuse_replacement_from_handler().map_err(|error| Error::replace_failed(error.into()))?;
        self.try_replace(module).map_err(Error::replace_failed)
    }

    fn try_replace(&self, module: &[u8]) -> Result<(), BoxError> {
        let Some(factory) = self.core.factory() else {
            let mut slot = block_on(self.core.queue_for_replacement())?;
            let was_live = slot.is_live();
            slot.begin_replace(self.core.init_terms());
            let result = slot.engine.replace(module);
            let result = slot.end_replace(was_live, result);
            slot.retire();
            return result;
        };
        let factory = factory.with_module(module)?;
        let mut next = self.core.new_slot(factory.provider()?);
        let awake = Awake::new();
        init(&mut next, self.core.init_terms())?;
        next.retire();
        drop(awake);
        let mut slot = block_on(self.core.queue_for_replacement())?;
        std::mem::swap(&mut *slot, &mut next);
        self.core.set_factory(Some(factory));
        Ok(())
    }

    /// Runs a call: every public method comes through here. A call without options on a free, live
    /// host goes straight through.
    ///
    /// The fast and the slow path each call `serve` with their own `slot`. Sharing one variable
    /// would spill it to memory, which costs more than the work itself.
    #[inline(always)]
    fn run<'r>(&self, request: impl FnOnce() -> Request<'r>, output: &mut impl Output) -> Result<()> {
        // Enters before anything else. The atomic exchange waits for all earlier stores, and no
        // later instruction begins before it: it takes a seventh of a null call.
        match self.core.try_enter() {
            Some(mut slot) if slot.is_live() => {
                self.core.set_deadline(&mut slot);
                let request = request();
                if request.options.is_some() {
                    return self.run_slowly(Some(slot), request, output);
                }
                let result = serve(&mut slot, request.operation, request.payload, output);
                slot.leave();
                result
            }
            entered => self.run_slowly(entered, request(), output),
        }
    }

    #[cold]
    fn run_slowly(
        &self,
        entered: Option<Held<'_>>,
        request: Request<'_>,
        output: &mut impl Output,
    ) -> Result<()> {
        let mut slot = self.enter(entered, request.options)?;
        let result = serve(&mut slot, request.operation, request.payload, output);
        slot.retire();
        result
    }

    /// Prepares what most calls do not need: options, a place in the queue, a fresh instance.
    fn enter<'a>(&'a self, entered: Option<Held<'a>>, options: Option<Box<Options>>) -> Result<Held<'a>> {
        let (terms, meter) = self.core.terms(options)?;
        let mut slot = match entered {
            Some(slot) => slot,
            None => block_on(self.core.queue(&terms))?,
        };
        if !slot.is_live() {
            init(&mut slot, self.core.rebuild_terms(&terms)).map_err(|error| rebuild_error(&terms, error))?;
        }
        slot.set_terms(terms, meter).inspect_err(|_| slot.retire())?;
        Ok(slot)
    }
}

fn init(slot: &mut Slot<Engine, ModuleState>, terms: Terms) -> Result<()> {
    slot.begin_init(terms);
    let result = slot.engine.init(Arc::clone(&slot.state));
    slot.end_init(result)
}

/// Runs a call on a live instance as far as it gets without waiting. The slot already has the
/// call's terms.
#[inline(always)]
fn serve(
    slot: &mut Slot<Engine, ModuleState>,
    operation: &str,
    payload: Payload<'_>,
    output: &mut impl Output,
) -> Result<()> {
    match payload {
        Payload::Borrowed(payload) if payload_in_place::is_worthwhile(payload) => {
            return serve_in_place(slot, operation, payload, output);
        }
        payload => slot.begin_call(operation, payload, output)?,
    }
    // The result is matched at once: storing it in halves and loading it whole is slow.
    match slot.engine.converse(&mut slot.conversation) {
        Some(Ok(code)) => slot.returned(code, output),
        Some(Err(error)) => slot.failed(error, output),
        None => serve_through_state(slot, output),
    }
}

/// Runs a call like [`serve`], but lends a large borrowed payload to the guest, which makes the
/// only copy of it.
#[inline(never)]
fn serve_in_place(
    slot: &mut Slot<Engine, ModuleState>,
    operation: &str,
    payload: &[u8],
    output: &mut impl Output,
) -> Result<()> {
    slot.begin_call_in_place(operation, payload, output)?;
    match payload_in_place::with(payload, || slot.engine.converse(&mut slot.conversation)) {
        Some(Ok(code)) => slot.returned(code, output),
        Some(Err(error)) => slot.failed(error, output),
        None => {
            slot.conversation.keep_payload(payload);
            serve_through_state(slot, output)
        }
    }
}

#[cold]
fn serve_through_state(slot: &mut Slot<Engine, ModuleState>, output: &mut impl Output) -> Result<()> {
    match call_through_state(slot) {
        Ok(code) => slot.returned(code, output),
        Err(error) => slot.failed(error, output),
    }
}

/// Calls an engine that has only the three methods of `wapc` 2.x.
fn call_through_state(slot: &mut Slot<Engine, ModuleState>) -> Result<i32, BoxError> {
    let (op, msg) = slot.conversation.lengths();
    slot.state.exchange(&mut slot.conversation);
    let returned = slot.engine.call(op, msg);
    slot.state.exchange(&mut slot.conversation);
    returned
}

/// The constructor of `wapc` 2.x, with a callback instead of a handler.
impl WapcHost {
    /// Starts a guest on an engine, with an optional callback for its host calls.
    ///
    /// # Errors
    /// [`InitFailed`](crate::errors::ErrorKind::InitFailed) or
    /// [`InvalidModule`](crate::errors::ErrorKind::InvalidModule): the guest cannot be started.
    pub fn new(engine: Box<Engine>, host_callback: Option<Box<HostCallback>>) -> Result<Self> {
        HostBuilder::new(engine).set_handler(Handler::callback(host_callback)).build()
    }
}

impl fmt::Debug for WapcHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WapcHost").field("id", &self.id()).finish_non_exhaustive()
    }
}
