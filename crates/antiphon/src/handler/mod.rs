//! The host's side of a host call.

pub(crate) mod budget;
pub(crate) mod closures;
pub(crate) mod id_map;
pub(crate) mod ledger;
pub(crate) mod route;
pub(crate) mod route_table;
pub(crate) mod router;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use antiphon_protocol::HostCallRequest;
use bytes::Bytes;

use crate::call::context::Context;
use crate::call::reentrancy;
use crate::call::terms::{Caller, Terms};
use crate::errors::{BoxError, Error, ErrorKind};
use crate::handler::ledger::Ledger;
use crate::time::ticker;

/// The signature of the host callback of `wapc` 2.x: host id, binding, namespace, operation, payload.
///
/// Five positional arguments, kept for its users; new code implements [`HostHandler`].
pub type HostCallback =
    dyn Fn(u64, &str, &str, &str, &[u8]) -> Result<Vec<u8>, BoxError> + Sync + Send + 'static;

/// The signature of the async host callback of `wapc` 2.x: host id, binding, namespace, operation, payload.
///
/// Five positional arguments, kept for its users; new code implements [`HostHandlerAsync`].
#[cfg(feature = "async")]
pub type HostCallbackAsync = dyn Fn(u64, String, String, String, Vec<u8>) -> crate::BoxFuture<'static, Result<Vec<u8>, BoxError>>
    + Send
    + Sync;

/// A guest's call of its host.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostCall<'a> {
    /// The binding. Hostile, like all four: a guest wrote it.
    pub binding: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// The payload. It lies in the guest's memory, which waits.
    pub payload: &'a [u8],
    host_id: u64,
    terms: &'a Terms,
    ledger: &'a Ledger,
    run: &'a Run,
}

/// One run of a handler. What was made on its behalf learns from this that it has ended.
#[derive(Debug, Default)]
pub(crate) struct Run(OnceLock<Arc<AtomicBool>>);

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(running) = self.0.get() {
            running.store(false, Ordering::Release);
        }
    }
}

impl<'a> HostCall<'a> {
    #[inline]
    pub(crate) fn new(
        request: HostCallRequest<'a>,
        host_id: u64,
        (terms, ledger, run): (&'a Terms, &'a Ledger, &'a Run),
    ) -> Self {
        let HostCallRequest { binding, namespace, operation, payload } = request;
        Self { binding, namespace, operation, payload, host_id, terms, ledger, run }
    }

    pub(crate) fn terms(&self) -> &'a Terms {
        self.terms
    }

    pub(crate) fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// The same under stricter terms.
    pub(crate) fn within<'r>(self, terms: &'r Terms) -> HostCall<'r>
    where
        'a: 'r,
    {
        HostCall { terms, ..self }
    }

    /// The host whose guest calls.
    #[must_use]
    pub fn host_id(&self) -> u64 {
        self.host_id
    }

    /// What the caller of the guest gave to [`Request::context`](crate::Request::context); empty if nothing.
    #[must_use]
    pub fn context(&self) -> &'a Context {
        static EMPTY: OnceLock<Context> = OnceLock::new();
        match self.terms.context() {
            Some(context) => context,
            None => EMPTY.get_or_init(Context::new),
        }
    }

    /// When the guest's call ends; `None` where it has no deadline. On a machine so busy that ticks come late, the call
    /// may go on as much longer.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.terms.deadline.instant()
    }

    /// On whose behalf this handler makes calls of its own, as a value that can be sent to another task.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let running = self.run.0.get_or_init(|| Arc::new(AtomicBool::new(true)));
        Caller::new(self.host_id, Arc::clone(running), self.terms)
    }
}

/// Answers the host calls of a guest.
///
/// A handler that blocks its thread cannot be cut short: the deadline is looked at when it returns. A panic is caught
/// and reaches the caller as [`ErrorKind::HostPanicked`].
///
/// ```
/// use antiphon::{Bytes, HostCall, HostCallError, HostHandler, WapcHost, testing::TestEngine};
///
/// struct Clock;
///
/// impl HostHandler for Clock {
///     fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
///         match call.operation {
///             "year" => Ok(Bytes::from_static(b"2026")),
///             other => Err(HostCallError::new(format!("no operation {other}"))),
///         }
///     }
/// }
///
/// let engine = TestEngine::new().operation_with_host("when", |guest| async move {
///     guest.host_call("clock", "time", "year", b"").await
/// });
/// let host = WapcHost::builder(Box::new(engine)).handler(Clock).build()?;
/// assert_eq!(host.call("when", b"")?, b"2026");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
pub trait HostHandler: Send + Sync {
    /// Called for each host call, on the guest's thread. All of `call` is hostile input.
    ///
    /// # Errors
    /// Whatever the guest is to read as the host's error; it lives on.
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError>;
}

/// Answers the host calls of a guest, asynchronously.
///
/// The future is dropped when the call's deadline passes, or when the call is cancelled or dropped. A panic is caught
/// and reaches the caller as [`ErrorKind::HostPanicked`].
#[cfg(feature = "async")]
#[async_trait::async_trait]
pub trait HostHandlerAsync: Send + Sync {
    /// Called for each host call, on the task of the guest's caller. All of `call` is hostile input.
    ///
    /// # Errors
    /// Whatever the guest is to read as the host's error; it lives on.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await.
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError>;

    /// The same handler as one that never waits, if it is one. Asked once, by the builder of a host: the host's guest is
    /// then spared the means to suspend.
    fn at_once(&self) -> Option<&dyn HostHandler> {
        None
    }
}

/// One handler for several hosts.
impl<H: HostHandler + ?Sized> HostHandler for Arc<H> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        (**self).handle(call)
    }
}

/// One handler for several hosts. Written out, so that its future is not boxed a second time.
#[cfg(feature = "async")]
impl<H: HostHandlerAsync + ?Sized> HostHandlerAsync for Arc<H> {
    fn handle<'h, 'c, 'f>(&'h self, call: HostCall<'c>) -> crate::BoxFuture<'f, Result<Bytes, HostCallError>>
    where
        'h: 'f,
        'c: 'f,
        Self: 'f,
    {
        (**self).handle(call)
    }

    fn at_once(&self) -> Option<&dyn HostHandler> {
        (**self).at_once()
    }
}

/// The error of a handler: a text for the guest.
#[derive(Debug)]
pub struct HostCallError(String);

impl HostCallError {
    /// An error with a text, which reaches the guest as it is: no secrets in it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Display for HostCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostCallError {}

impl From<BoxError> for HostCallError {
    fn from(error: BoxError) -> Self {
        Self(error.to_string())
    }
}

/// For a handler that calls another host.
impl From<Error> for HostCallError {
    fn from(error: Error) -> Self {
        Self::from(BoxError::from(error))
    }
}

impl From<&str> for HostCallError {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for HostCallError {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// The handler of a host, whichever kind it has.
#[derive(Clone, Default)]
pub(crate) enum Handler {
    #[default]
    None,
    Sync(Arc<dyn HostHandler>),
    #[cfg(feature = "async")]
    Async(Arc<dyn HostHandlerAsync>),
}

/// What a handler left, or the end of the guest's call.
pub(crate) type Answer = Result<Result<Bytes, String>, Error>;

impl Handler {
    pub(crate) fn callback(callback: Option<Box<HostCallback>>) -> Self {
        callback.map_or(Self::None, |callback| Self::Sync(Arc::new(Callback(callback))))
    }

    /// A handler that may wait, unless it says that it never does.
    #[cfg(feature = "async")]
    pub(crate) fn of_async(handler: impl HostHandlerAsync + 'static) -> Self {
        match handler.at_once() {
            Some(_) => Self::Sync(Arc::new(AtOnce(handler))),
            None => Self::Async(Arc::new(handler)),
        }
    }

    #[cfg(feature = "async")]
    pub(crate) fn callback_async(callback: Option<Box<HostCallbackAsync>>) -> Self {
        callback.map_or(Self::None, |callback| Self::Async(Arc::new(CallbackAsync(callback))))
    }

    /// Whether a host call may have to be awaited.
    pub(crate) fn can_suspend(&self) -> bool {
        !matches!(self, Self::None | Self::Sync(_))
    }

    /// Runs a handler that does not suspend.
    pub(crate) fn run(&self, call: HostCall<'_>) -> Answer {
        match self {
            Self::None => Ok(Err("Missing host callback function!".into())),
            Self::Sync(handler) => {
                let answer = guarded(call.host_id, || handler.handle(call))?;
                Ok(answer.map_err(HostCallError::into_text))
            }
            #[cfg(feature = "async")]
            Self::Async(_) => {
                let what = "the engine made a synchronous host call although the handler is asynchronous";
                Err(Error::new(ErrorKind::Engine, what))
            }
        }
    }

    /// Begins a call of a handler of either kind. What it is told ends here: only the handler's own future holds it on.
    #[cfg(feature = "async")]
    #[inline]
    pub(crate) fn begin<'c>(&'c self, call: HostCall<'c>) -> Begun<'c> {
        match self {
            // What makes the future is the host's code as well.
            Self::Async(handler) => match guarded(call.host_id, || handler.handle(call)) {
                Ok(future) => Begun::Waits(future),
                Err(error) => Begun::Ended(Err(error)),
            },
            Self::None | Self::Sync(_) => Begun::Ended(self.run(call)),
        }
    }
}

/// How far a handler got without waiting.
#[cfg(feature = "async")]
pub(crate) enum Begun<'c> {
    Ended(Answer),
    Waits(Answering<'c>),
}

/// The future of a handler.
#[cfg(feature = "async")]
type Answering<'c> = crate::BoxFuture<'c, Result<Bytes, HostCallError>>;

/// What the handler of a host answers, at the latest at the call's deadline.
#[cfg(feature = "async")]
pub(crate) async fn answer(mut future: Answering<'_>, host: u64, terms: &Terms) -> Answer {
    let polled = std::future::poll_fn(|cx| match guarded(host, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(|answer| Ok(answer.map_err(HostCallError::into_text))),
        Err(error) => std::task::Poll::Ready(Err(error)),
    });
    match crate::call::wait::until(terms, polled).await {
        Ok(answer) => {
            // To drop it runs the host's code once more.
            catch_unwind(AssertUnwindSafe(|| drop(future))).map_err(panicked)?;
            answer
        }
        Err(interrupt) => {
            // In the middle of it, where it may have things to end by calls of its own.
            guarded(host, || drop(future))?;
            Err(terms.error(interrupt, crate::errors::Phase::HostCall))
        }
    }
}

/// Runs a handler's code, which may panic, and may call its host.
#[inline]
fn guarded<R>(host: u64, run: impl FnOnce() -> R) -> Result<R, Error> {
    let _running = reentrancy::enter(host);
    catch_unwind(AssertUnwindSafe(run)).map_err(panicked)
}

/// A handler that said that it never waits.
#[cfg(feature = "async")]
struct AtOnce<H>(H);

#[cfg(feature = "async")]
impl<H: HostHandlerAsync> HostHandler for AtOnce<H> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        match self.0.at_once() {
            Some(handler) => handler.handle(call),
            None => Err("the handler of the host waits, although it said that it never does".into()),
        }
    }
}

/// A caught panic of the host's own code.
#[cold]
pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = Error::new(
        ErrorKind::HostPanicked,
        format!("a handler of the host panicked: {}", text.unwrap_or("no message")),
    );
    ticker::drop_panic(panic);
    error
}

/// The callback of `wapc` 2.x as a handler.
struct Callback(Box<HostCallback>);

impl HostHandler for Callback {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let answer = (self.0)(call.host_id, call.binding, call.namespace, call.operation, call.payload)?;
        Ok(answer.into())
    }
}

/// The async callback of `wapc` 2.x as a handler.
#[cfg(feature = "async")]
struct CallbackAsync(Box<HostCallbackAsync>);

#[cfg(feature = "async")]
#[async_trait::async_trait]
impl HostHandlerAsync for CallbackAsync {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let [binding, namespace, operation] =
            [call.binding, call.namespace, call.operation].map(str::to_owned);
        let answer = (self.0)(call.host_id, binding, namespace, operation, call.payload.to_vec());
        Ok(answer.await?.into())
    }
}
