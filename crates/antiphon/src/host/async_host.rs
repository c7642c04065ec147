//! The asynchronous host, and the path of a call from top to bottom.
//!
//! A call that need not wait is no future. The host first runs each call like a synchronous one,
//! outside the async state machine: what a future holds across an await is memory, and that alone
//! made a call cost half as much again. The file of the synchronous host has the other rules of the
//! call path.

use std::fmt;
use std::sync::Arc;

use antiphon_protocol::{Limits, Payload};

use super::builder::HostBuilder;
use super::gate::Inside;
use super::offload::offload;
use super::slot::{Core, Slot, rebuild_error};
use crate::BoxFuture;
use crate::call::{Isolation, Options, Request, Response, Terms, until};
use crate::conversation::{Output, Reused, payload_in_place};
use crate::engine::WebAssemblyEngineProviderAsync;
use crate::engine::wapc2::ModuleStateAsync;
use crate::errors::{BoxError, Error, Phase, Result};
use crate::handler::{Handler, HostCallbackAsync, HostHandler, HostHandlerAsync};
use crate::time::ticker::Awake;

type Engine = dyn WebAssemblyEngineProviderAsync + Send;
type Held<'a> = Inside<'a, Slot<Engine, ModuleStateAsync>>;

/// Runs one guest for callers on any executor.
///
/// The host serves one call at a time, in order; a call that waits blocks no thread. A call that
/// may leave the guest half-changed (a trap, a deadline, a cancel, a dropped future) costs the
/// instance: the host discards it with its memory, and the next call builds a fresh one.
///
/// ```
/// use antiphon::{WapcHostAsync, testing::TestEngine};
///
/// # fn main() -> Result<(), antiphon::errors::Error> { antiphon::block_on(async {
/// let engine = TestEngine::new().operation("greet", |name| Ok([b"hello ", name].concat()));
/// let host = WapcHostAsync::new(Box::new(engine), None).await?;
/// assert_eq!(host.call("greet", b"world").await?, b"hello world");
/// # Ok(())
/// # }) }
/// ```
#[must_use]
pub struct WapcHostAsync {
    core: Core<Engine, ModuleStateAsync>,
}

impl WapcHostAsync {
    /// Returns a builder that also takes limits, a handler and a log.
    pub fn builder(engine: Box<Engine>) -> HostBuilder<Engine> {
        HostBuilder::new(engine)
    }

    pub(super) async fn start(builder: HostBuilder<Engine>) -> Result<Self> {
        let (engine, shared) = builder.into_parts();
        let factory = engine.factory();
        let host = Self { core: Core::new(engine, shared)? };
        host.core.set_factory(factory);
        let mut slot = host.core.queue_for_replacement().await?;
        init(&mut slot, host.core.init_terms()).await?;
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

    /// Returns the limits in force: the stricter of the host's and the provider's.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.core.shared.limits
    }

    /// Calls an operation of the guest and returns its answer.
    ///
    /// # Errors
    /// Any [`ErrorKind`](crate::errors::ErrorKind) that a call can end with; each kind says when.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await, and other calls are not disturbed. A call that had
    /// not begun gives up its place in the queue; a call that had begun costs the instance.
    pub async fn call(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        match self.run_straight(|| Request::new(op, payload), &mut answer) {
            Ok(ended) => ended?,
            Err(left) => self.run_on(left, &mut answer).await?,
        }
        Ok(answer)
    }

    /// Calls an operation with options.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    ///
    /// # Cancel safety
    /// That of [`call`](Self::call).
    pub async fn call_with(&self, request: Request<'_>) -> Result<Response> {
        let mut response = Response::default();
        match self.run_straight(|| request, &mut response) {
            Ok(ended) => ended?,
            Err(left) => self.run_on(left, &mut response).await?,
        }
        Ok(response)
    }

    /// Calls an operation, writes the answer over `answer`, and returns its length in bytes. The
    /// capacity of `answer` is used again.
    ///
    /// # Errors
    /// Those of [`call`](Self::call); `answer` is empty then.
    ///
    /// # Cancel safety
    /// That of [`call`](Self::call). After a drop `answer` is empty and its capacity is lost.
    pub async fn call_into(&self, op: &str, payload: &[u8], answer: &mut Vec<u8>) -> Result<usize> {
        answer.clear();
        let mut output = Reused(answer);
        match self.run_straight(|| Request::new(op, payload), &mut output) {
            Ok(ended) => ended?,
            Err(left) => self.run_on(left, &mut output).await?,
        }
        Ok(answer.len())
    }

    /// Replaces the module. The new module is compiled on a thread of its own and started beside
    /// the running calls, then takes over at once.
    ///
    /// # Errors
    /// [`ReplaceFailed`](crate::errors::ErrorKind::ReplaceFailed), with the reason as its source;
    /// the old module serves on.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await: the old module serves on.
    pub async fn replace_module(&self, module: &[u8]) -> Result<()> {
        self.core.refuse_replacement_from_handler().map_err(|error| Error::replace_failed(error.into()))?;
        self.try_replace(module).await.map_err(Error::replace_failed)
    }

    async fn try_replace(&self, module: &[u8]) -> Result<(), BoxError> {
        let Some(factory) = self.core.factory() else {
            let mut slot = self.core.queue_for_replacement().await?;
            let was_live = slot.is_live();
            slot.begin_replace(self.core.init_terms());
            let result = slot.engine.replace(module).await;
            let result = slot.end_replace(was_live, result);
            slot.retire();
            return result;
        };
        let module = module.to_vec();
        let factory = offload(move || factory.with_module(&module)).await?;
        let mut next = self.core.new_slot(factory.provider_async()?);
        let awake = Awake::new();
        init(&mut next, self.core.init_terms()).await?;
        next.retire();
        drop(awake);
        let mut slot = self.core.queue_for_replacement().await?;
        std::mem::swap(&mut *slot, &mut next);
        self.core.set_factory(Some(factory));
        Ok(())
    }

    /// Runs a call as far as it gets without waiting: every public method comes through here.
    ///
    /// It is not part of a future. What it holds stays in registers, so a call that need not wait
    /// costs little more than a synchronous one.
    #[inline(always)]
    fn run_straight<'a, 'r>(
        &'a self,
        request: impl FnOnce() -> Request<'r>,
        output: &mut impl Output,
    ) -> Result<Result<()>, Left<'a, 'r>> {
        match self.core.try_enter() {
            Some(mut slot) if slot.is_live() => {
                self.core.set_deadline(&mut slot);
                let request = request();
                if request.options.is_some() {
                    return Err(Left::NotBegun(Some(slot), request));
                }
                match serve(&mut slot, request.operation, request.payload, output) {
                    Served::Ended(result) => {
                        slot.retire();
                        slot.leave();
                        Ok(result)
                    }
                    Served::Waits(lent) => Err(Left::Begun(slot, lent)),
                }
            }
            entered => Err(Left::NotBegun(entered, request())),
        }
    }

    /// Runs the rest of a call that [`run_straight`](Self::run_straight) left, with waits.
    async fn run_on(&self, left: Left<'_, '_>, output: &mut impl Output) -> Result<()> {
        let (mut slot, lent) = match left {
            Left::Begun(slot, lent) => (slot, lent),
            Left::NotBegun(entered, Request { operation, payload, options }) => {
                let mut slot = self.enter(entered, options).await?;
                match serve(&mut slot, operation, payload, output) {
                    Served::Ended(result) => {
                        slot.retire();
                        return result;
                    }
                    Served::Waits(lent) => (slot, lent),
                }
            }
        };
        let slot = &mut *slot;
        let returned = if let Some(returning) = slot.engine.converse_async(&mut slot.conversation) {
            match lent {
                None => returning.await,
                Some(payload) => over(payload, returning).await,
            }
        } else {
            if let Some(payload) = lent {
                slot.conversation.keep_payload(payload);
            }
            call_through_state(slot).await
        };
        let result = match returned {
            Ok(code) => slot.returned(code, output),
            Err(error) => slot.failed(error, output),
        };
        slot.retire();
        result
    }

    /// Prepares what most calls do not need: options, a place in the queue, a fresh instance.
    ///
    /// The future is boxed; otherwise its state would be moved with the future of every call.
    fn enter<'a>(
        &'a self,
        entered: Option<Held<'a>>,
        options: Option<Box<Options>>,
    ) -> BoxFuture<'a, Result<Held<'a>>> {
        Box::pin(async move {
            let (terms, meter) = self.core.terms(options)?;
            let mut slot = match entered {
                Some(slot) => slot,
                None => self.core.queue(&terms).await?,
            };
            if !slot.is_live() {
                let started = init(&mut slot, self.core.rebuild_terms(&terms)).await;
                started.map_err(|error| rebuild_error(&terms, error))?;
            }
            slot.set_terms(terms, meter).inspect_err(|_| slot.retire())?;
            Ok(slot)
        })
    }
}

/// How far a call got without waiting.
enum Served<'r> {
    Ended(Result<()>),
    /// The guest has begun and waits, or has to begin on a stack of its own. Holds the payload that
    /// is lent to the guest, if one is.
    Waits(Option<&'r [u8]>),
}

/// Runs a call on a live instance as far as it gets without waiting. The slot already has the
/// call's terms.
#[inline(always)]
fn serve<'r>(
    slot: &mut Slot<Engine, ModuleStateAsync>,
    operation: &str,
    payload: Payload<'r>,
    output: &mut impl Output,
) -> Served<'r> {
    let begun = match payload {
        Payload::Borrowed(payload) if payload_in_place::is_worthwhile(payload) => {
            return serve_in_place(slot, operation, payload, output);
        }
        payload => slot.begin_call(operation, payload, output),
    };
    if let Err(error) = begun {
        return Served::Ended(Err(error));
    }
    match slot.engine.converse(&mut slot.conversation) {
        Some(Ok(code)) => Served::Ended(slot.returned(code, output)),
        Some(Err(error)) => Served::Ended(slot.failed(error, output)),
        None => Served::Waits(None),
    }
}

/// Runs a call like [`serve`], but lends a large borrowed payload to the guest, which makes the
/// only copy of it.
#[inline(never)]
fn serve_in_place<'r>(
    slot: &mut Slot<Engine, ModuleStateAsync>,
    operation: &str,
    payload: &'r [u8],
    output: &mut impl Output,
) -> Served<'r> {
    if let Err(error) = slot.begin_call_in_place(operation, payload, output) {
        return Served::Ended(Err(error));
    }
    match payload_in_place::with(payload, || slot.engine.converse(&mut slot.conversation)) {
        Some(Ok(code)) => Served::Ended(slot.returned(code, output)),
        Some(Err(error)) => Served::Ended(slot.failed(error, output)),
        None => Served::Waits(Some(payload)),
    }
}

/// Polls a guest that has this payload and may wait. On whichever thread it runs, it runs within a
/// poll.
async fn over<F: Future + Unpin>(payload: &[u8], mut guest: F) -> F::Output {
    std::future::poll_fn(|cx| payload_in_place::with(payload, || std::pin::Pin::new(&mut guest).poll(cx)))
        .await
}

/// Where a call stopped because it has to wait.
enum Left<'a, 'r> {
    /// The guest has to wait: see [`Served::Waits`].
    Begun(Held<'a>, Option<&'r [u8]>),
    /// The call needs options, a turn at the gate or a fresh instance.
    NotBegun(Option<Held<'a>>, Request<'r>),
}

/// Ticks that the host gives an engine beyond the deadline. An engine that keeps the deadline
/// itself comes first, with a better error.
const GRACE: u64 = 1;

fn later(terms: &Terms) -> Terms {
    let mut later = terms.clone();
    later.deadline.tick = later.deadline.tick.saturating_add(GRACE);
    later
}

/// Starts an instance. The host bounds the start from outside too, because a foreign engine does
/// not know the terms.
async fn init(slot: &mut Slot<Engine, ModuleStateAsync>, terms: Terms) -> Result<()> {
    slot.begin_init(terms.clone());
    let result = match until(&later(&terms), slot.engine.init(Arc::clone(&slot.state))).await {
        Ok(result) => result,
        Err(interrupt) => Err(Error::init("instance", terms.error(interrupt, Phase::Guest)).into()),
    };
    slot.end_init(result)
}

/// Calls an engine that has only the three methods of `wapc` 2.x.
async fn call_through_state(slot: &mut Slot<Engine, ModuleStateAsync>) -> Result<i32, BoxError> {
    let (op, msg) = slot.conversation.lengths();
    let terms = slot.conversation.terms().clone();
    slot.state.exchange(&mut slot.conversation);
    let returned = match until(&later(&terms), slot.engine.call(op, msg)).await {
        Ok(returned) => returned,
        Err(interrupt) => Err(terms.error(interrupt, Phase::Guest).into()),
    };
    slot.state.exchange(&mut slot.conversation);
    returned
}

impl HostBuilder<dyn WebAssemblyEngineProviderAsync + Send> {
    /// Sets the handler that answers the guest's host calls.
    ///
    /// A handler that [says](HostHandlerAsync::at_once) that it never waits is treated like one set
    /// with [`handler_sync`](Self::handler_sync).
    pub fn handler(self, handler: impl HostHandlerAsync + 'static) -> Self {
        self.set_handler(Handler::of_async(handler))
    }

    /// Sets a handler that answers the guest's host calls without ever waiting. The guest then
    /// needs no means to suspend, which makes its calls cheaper.
    pub fn handler_sync(self, handler: impl HostHandler + 'static) -> Self {
        self.set_handler(Handler::Sync(Arc::new(handler)))
    }

    /// Starts the guest.
    ///
    /// # Errors
    /// Those of [`WapcHostAsync::new`].
    ///
    /// # Cancel safety
    /// That of [`WapcHostAsync::new`].
    pub async fn build(self) -> Result<WapcHostAsync> {
        WapcHostAsync::start(self).await
    }
}

/// The constructor of `wapc` 2.x, with a callback instead of a handler.
impl WapcHostAsync {
    /// Starts a guest on an engine, with an optional callback for its host calls.
    ///
    /// # Errors
    /// [`InitFailed`](crate::errors::ErrorKind::InitFailed) or
    /// [`InvalidModule`](crate::errors::ErrorKind::InvalidModule): the guest cannot be started.
    ///
    /// # Cancel safety
    /// Dropping the future drops the engine with whatever it had started.
    pub async fn new(engine: Box<Engine>, host_callback: Option<Box<HostCallbackAsync>>) -> Result<Self> {
        HostBuilder::new(engine).set_handler(Handler::callback_async(host_callback)).build().await
    }
}

impl fmt::Debug for WapcHostAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WapcHostAsync").field("id", &self.id()).finish_non_exhaustive()
    }
}
