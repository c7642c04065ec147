//! The host's side of a host call that waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, Handler, HostCall, HostCallError, HostHandler, guarded};
use crate::BoxFuture;
use crate::call::{Terms, until};
use crate::errors::{BoxError, Error, ErrorKind, Phase};
use crate::survive::panicked;

/// The signature of the async host callback of `wapc` 2.x: host id, binding, namespace, operation,
/// payload.
///
/// It keeps its five positional arguments for users of `wapc`; new code implements
/// [`HostHandlerAsync`].
pub type HostCallbackAsync = dyn Fn(u64, String, String, String, Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, BoxError>>
    + Send
    + Sync;

/// Answers the host calls of a guest, asynchronously.
///
/// The future is dropped when the call's deadline passes, or when the call is cancelled or dropped.
/// A panic is caught, and reaches the caller as [`ErrorKind::HostPanicked`], in a program that is
/// built with `panic = "unwind"`: see [`HostHandler`].
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

/// Lets several hosts share one handler. Written out, so that the future is not boxed a second
/// time.
impl<H: HostHandlerAsync + ?Sized> HostHandlerAsync for Arc<H> {
    fn handle<'h, 'c, 'f>(&'h self, call: HostCall<'c>) -> BoxFuture<'f, Result<Bytes, HostCallError>>
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

impl Handler {
    /// Wraps an asynchronous handler. One that says that it never waits becomes a synchronous one.
    pub(crate) fn of_async(handler: impl HostHandlerAsync + 'static) -> Self {
        match handler.at_once() {
            Some(_) => Self::Sync(Arc::new(AtOnce(handler))),
            None => Self::Async(Arc::new(handler)),
        }
    }

    pub(crate) fn callback_async(callback: Option<Box<HostCallbackAsync>>) -> Self {
        callback.map_or(Self::None, |callback| Self::Async(Arc::new(CallbackAsync(callback))))
    }

    /// Begins a call of a handler of either kind. Takes `call`, so that only the handler's own
    /// future can keep it.
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
pub(crate) enum Begun<'c> {
    Ended(Answer),
    Waits(Answering<'c>),
}

/// The future of a handler.
type Answering<'c> = BoxFuture<'c, Result<Bytes, HostCallError>>;

/// Awaits the answer of a handler, at the latest until the call's deadline.
pub(crate) async fn answer(mut future: Answering<'_>, host: u64, terms: &Terms) -> Answer {
    let polled = std::future::poll_fn(|cx| match guarded(host, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(|answer| Ok(answer.map_err(HostCallError::into_text))),
        Err(error) => std::task::Poll::Ready(Err(error)),
    });
    match until(terms, polled).await {
        Ok(answer) => {
            // Dropping the future runs the handler's code once more.
            catch_unwind(AssertUnwindSafe(|| drop(future))).map_err(panicked)?;
            answer
        }
        Err(interrupt) => {
            // The future is dropped half-way, where its destructors may make calls of their own.
            guarded(host, || drop(future))?;
            Err(terms.error(interrupt, Phase::HostCall))
        }
    }
}

/// Returns the error of an engine that cannot wait, on a host whose handler may have to.
#[cold]
pub(super) fn asked_at_once() -> Error {
    let what = "the engine made a synchronous host call although the handler is asynchronous";
    Error::new(ErrorKind::Engine, what)
}

/// An asynchronous handler that says that it never waits.
struct AtOnce<H>(H);

impl<H: HostHandlerAsync> HostHandler for AtOnce<H> {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        match self.0.at_once() {
            Some(handler) => handler.handle(call),
            None => Err("the handler of the host waits, although it said that it never does".into()),
        }
    }
}

/// The async callback of `wapc` 2.x as a handler.
struct CallbackAsync(Box<HostCallbackAsync>);

#[async_trait::async_trait]
impl HostHandlerAsync for CallbackAsync {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let [binding, namespace, operation] =
            [call.binding, call.namespace, call.operation].map(str::to_owned);
        let answer = (self.0)(call.host_id, binding, namespace, operation, call.payload.to_vec());
        Ok(answer.await?.into())
    }
}
