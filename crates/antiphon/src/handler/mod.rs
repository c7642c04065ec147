//! The host's side of a host call.

mod budget;
mod closures;
#[cfg(feature = "async")]
mod closures_async;
#[cfg(feature = "async")]
mod handler_async;
mod id_map;
mod ledger;
mod route;
#[cfg(feature = "async")]
mod route_async;
mod route_table;
mod router;

pub use closures::{HandlerFn, handler_fn};
#[cfg(feature = "async")]
pub(crate) use handler_async::{Begun, answer};
pub(crate) use ledger::Ledger;
pub use route::Route;
pub use router::HostRouter;
#[cfg(feature = "async")]
pub use {
    closures_async::{HandlerFnAsync, handler_fn_async},
    handler_async::{HostCallbackAsync, HostHandlerAsync},
};

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use antiphon_protocol::HostCallRequest;
use bytes::Bytes;

use crate::call::{Caller, Context, Terms, reentrancy};
#[cfg(doc)]
use crate::errors::ErrorKind;
use crate::errors::{BoxError, Error};
use crate::survive::panicked;

/// The signature of the host callback of `wapc` 2.x: host id, binding, namespace, operation, payload.
///
/// Five positional arguments, kept for its users; new code implements [`HostHandler`].
pub type HostCallback =
    dyn Fn(u64, &str, &str, &str, &[u8]) -> Result<Vec<u8>, BoxError> + Sync + Send + 'static;

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

    fn terms(&self) -> &'a Terms {
        self.terms
    }

    fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// The same under stricter terms.
    fn within<'r>(self, terms: &'r Terms) -> HostCall<'r>
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

/// One handler for several hosts.
impl<H: HostHandler + ?Sized> HostHandler for Arc<H> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        (**self).handle(call)
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

    fn into_text(self) -> String {
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
            Self::Async(_) => Err(handler_async::asked_at_once()),
        }
    }
}

/// Runs a handler's code, which may panic, and may call its host.
#[inline]
fn guarded<R>(host: u64, run: impl FnOnce() -> R) -> Result<R, Error> {
    let _running = reentrancy::enter(host);
    catch_unwind(AssertUnwindSafe(run)).map_err(panicked)
}

/// The callback of `wapc` 2.x as a handler.
struct Callback(Box<HostCallback>);

impl HostHandler for Callback {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let answer = (self.0)(call.host_id, call.binding, call.namespace, call.operation, call.payload)?;
        Ok(answer.into())
    }
}
