//! The host's side of a host call: handlers, the callbacks of `wapc` 2.x, and panics in both.

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

/// The signature of the host callback of `wapc` 2.x: host id, binding, namespace, operation,
/// payload.
///
/// It keeps its five positional arguments for users of `wapc`; new code implements [`HostHandler`].
pub type HostCallback =
    dyn Fn(u64, &str, &str, &str, &[u8]) -> Result<Vec<u8>, BoxError> + Sync + Send + 'static;

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

    fn terms(&self) -> &'a Terms {
        self.terms
    }

    fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// Returns the call under stricter terms.
    fn within<'r>(self, terms: &'r Terms) -> HostCall<'r>
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
/// panic is caught, and reaches the caller as [`ErrorKind::HostPanicked`]. That needs a program
/// that is built with `panic = "unwind"`, which is Cargo's default; with `panic = "abort"` the
/// panic ends the process, and the first host with a handler warns of it.
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

/// Lets several hosts share one handler.
impl<H: HostHandler + ?Sized> HostHandler for Arc<H> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        (**self).handle(call)
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
            Self::Async(_) => Err(handler_async::asked_at_once()),
        }
    }
}

/// Runs a handler's code, which may panic, and may call its own host.
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
