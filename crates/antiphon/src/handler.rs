//! The host's side of a host call: handlers, the callbacks of `wapc` 2.x, and panics in both.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use antiphon_protocol::HostCallRequest;
use bytes::Bytes;

use crate::context::Context;
use crate::errors::{BoxError, Error, ErrorKind};
use crate::ledger::Ledger;
use crate::terms::{Caller, Terms};
use crate::{reentrancy, ticker};

/// The signature of the host callback of `wapc` 2.x: host id, binding, namespace, operation,
/// payload.
///
/// It keeps its five positional arguments for users of `wapc`; new code implements [`HostHandler`].
pub type HostCallback =
    dyn Fn(u64, &str, &str, &str, &[u8]) -> Result<Vec<u8>, BoxError> + Sync + Send + 'static;

/// The signature of the async host callback of `wapc` 2.x: host id, binding, namespace, operation,
/// payload.
///
/// It keeps its five positional arguments for users of `wapc`; new code implements
/// [`HostHandlerAsync`].
#[cfg(feature = "async")]
pub type HostCallbackAsync = dyn Fn(u64, String, String, String, Vec<u8>) -> crate::BoxFuture<'static, Result<Vec<u8>, BoxError>>
    + Send
    + Sync;

/// A guest's call of its host, as a handler gets it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostCall<'a> {
    /// The binding. Like the other three parts it is hostile: the guest wrote it.
    pub binding: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// The payload. It lies in the guest's memory; the guest waits while the handler runs.
    pub payload: &'a [u8],
    host_id: u64,
    terms: &'a Terms,
    ledger: &'a Ledger,
    run: &'a Run,
}

/// One run of a handler. A [`Caller`] that was made from it learns through it that the run has
/// ended.
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

    /// Returns the call under stricter terms.
    pub(crate) fn within<'r>(self, terms: &'r Terms) -> HostCall<'r>
    where
        'a: 'r,
    {
        HostCall { terms, ..self }
    }

    /// Returns the number of the host whose guest calls.
    #[must_use]
    pub fn host_id(&self) -> u64 {
        self.host_id
    }

    /// Returns the values that the guest's caller gave to
    /// [`Request::context`](crate::Request::context). It is empty if the caller gave none.
    #[must_use]
    pub fn context(&self) -> &'a Context {
        static EMPTY: OnceLock<Context> = OnceLock::new();
        match self.terms.context() {
            Some(context) => context,
            None => EMPTY.get_or_init(Context::new),
        }
    }

    /// Returns when the guest's call ends, or `None` if it has no deadline. On a machine so busy
    /// that ticks come late, the call may go on longer by that delay.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.terms.deadline.instant()
    }

    /// Returns a value that says on whose behalf this handler makes calls of its own. It can be
    /// sent to another task, which has no other way to know.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let running = self.run.0.get_or_init(|| Arc::new(AtomicBool::new(true)));
        Caller::new(self.host_id, Arc::clone(running), self.terms)
    }
}

/// Answers the host calls of a guest.
///
/// A handler that blocks its thread cannot be cut short: the deadline is checked when it returns. A
/// panic is caught, and reaches the caller as [`ErrorKind::HostPanicked`].
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
    /// Answers a host call. Called for each one, on the guest's thread. All of `call` is hostile
    /// input.
    ///
    /// # Errors
    /// The guest reads the text as the host's error, and lives on.
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError>;
}

/// Answers the host calls of a guest, asynchronously.
///
/// The future is dropped when the call's deadline passes, or when the call is cancelled or dropped.
/// A panic is caught, and reaches the caller as [`ErrorKind::HostPanicked`].
#[cfg(feature = "async")]
#[async_trait::async_trait]
pub trait HostHandlerAsync: Send + Sync {
    /// Answers a host call. Called for each one, on the task of the guest's caller. All of `call`
    /// is hostile input.
    ///
    /// # Errors
    /// The guest reads the text as the host's error, and lives on.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await.
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError>;

    /// Returns this handler as one that never waits, if it never does.
    ///
    /// Only the handler can know: a router, for example, depends on its routes. The builder of a
    /// host asks once, and from then on the handler is a synchronous one. The guest then needs no
    /// means to suspend, and host calls need no check.
    fn at_once(&self) -> Option<&dyn HostHandler> {
        None
    }
}

/// Lets several hosts share one handler.
impl<H: HostHandler + ?Sized> HostHandler for Arc<H> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        (**self).handle(call)
    }
}

/// Lets several hosts share one handler. Written out, so that the future is not boxed a second
/// time.
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
    /// Creates an error with a text. The text reaches the guest as it is, so it must hold no
    /// secrets.
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

/// Lets a handler that calls another host pass that host's error on.
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

/// The handler of a host, of either kind.
#[derive(Clone, Default)]
pub(crate) enum Handler {
    #[default]
    None,
    Sync(Arc<dyn HostHandler>),
    #[cfg(feature = "async")]
    Async(Arc<dyn HostHandlerAsync>),
}

/// What a handler answered, or the error that ends the guest's call.
pub(crate) type Answer = Result<Result<Bytes, String>, Error>;

impl Handler {
    pub(crate) fn callback(callback: Option<Box<HostCallback>>) -> Self {
        callback.map_or(Self::None, |callback| Self::Sync(Arc::new(Callback(callback))))
    }

    /// Wraps an asynchronous handler. One that says that it never waits becomes a synchronous one.
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

    /// Returns whether a host call may have to be awaited.
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

    /// Begins a call of a handler of either kind. Takes `call`, so that only the handler's own
    /// future can keep it.
    #[cfg(feature = "async")]
    #[inline]
    pub(crate) fn begin<'c>(&'c self, call: HostCall<'c>) -> Begun<'c> {
        match self {
            // Making the future runs the handler's code as well.
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

/// Awaits the answer of a handler, at the latest until the call's deadline.
#[cfg(feature = "async")]
pub(crate) async fn answer(mut future: Answering<'_>, host: u64, terms: &Terms) -> Answer {
    let polled = std::future::poll_fn(|cx| match guarded(host, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(|answer| Ok(answer.map_err(HostCallError::into_text))),
        Err(error) => std::task::Poll::Ready(Err(error)),
    });
    match crate::wait::until(terms, polled).await {
        Ok(answer) => {
            // Dropping the future runs the handler's code once more.
            catch_unwind(AssertUnwindSafe(|| drop(future))).map_err(panicked)?;
            answer
        }
        Err(interrupt) => {
            // The future is dropped half-way, where its destructors may make calls of their own.
            guarded(host, || drop(future))?;
            Err(terms.error(interrupt, crate::errors::Phase::HostCall))
        }
    }
}

/// Runs a handler's code, which may panic, and may call its own host.
#[inline]
fn guarded<R>(host: u64, run: impl FnOnce() -> R) -> Result<R, Error> {
    let _running = reentrancy::enter(host);
    catch_unwind(AssertUnwindSafe(run)).map_err(panicked)
}

/// An asynchronous handler that says that it never waits.
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

/// Turns a caught panic of the host's own code into an error.
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
