//! Closures as handlers.

use std::fmt;

use bytes::Bytes;

#[cfg(feature = "async")]
use crate::handler::HostHandlerAsync;
use crate::handler::{HostCall, HostCallError, HostHandler};

/// Makes a closure a [`HostHandler`].
///
/// ```
/// use antiphon::{Bytes, WapcHost, handler_fn, testing::TestEngine};
///
/// let engine = TestEngine::new().operation_with_host("relay", |guest| async move {
///     guest.host_call("any", "any", "any", guest.payload()).await
/// });
/// let echo = handler_fn(|call| Ok(Bytes::copy_from_slice(call.payload)));
/// let host = WapcHost::builder(Box::new(engine)).handler(echo).build()?;
/// assert_eq!(host.call("relay", b"hi")?, b"hi");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
pub fn handler_fn<F>(answer: F) -> HandlerFn<F>
where
    F: Fn(HostCall<'_>) -> Result<Bytes, HostCallError> + Send + Sync,
{
    HandlerFn(answer)
}

/// The handler that [`handler_fn`] makes.
#[derive(Clone, Copy)]
pub struct HandlerFn<F>(F);

impl<F> HostHandler for HandlerFn<F>
where
    F: Fn(HostCall<'_>) -> Result<Bytes, HostCallError> + Send + Sync,
{
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        (self.0)(call)
    }
}

impl<F> fmt::Debug for HandlerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerFn")
    }
}

/// Makes a closure that returns futures a [`HostHandlerAsync`].
///
/// ```
/// use antiphon::{Bytes, WapcHostAsync, handler_fn_async, testing::TestEngine};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), antiphon::errors::Error> {
/// let engine = TestEngine::new().operation_with_host("relay", |guest| async move {
///     guest.host_call("any", "any", "any", guest.payload()).await
/// });
/// let echo = handler_fn_async(|call| Box::pin(async move {
///     tokio::task::yield_now().await;
///     Ok(Bytes::copy_from_slice(call.payload))
/// }));
/// let host = WapcHostAsync::builder(Box::new(engine)).handler(echo).build().await?;
/// assert_eq!(host.call("relay", b"hi").await?, b"hi");
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "async")]
pub fn handler_fn_async<F>(answer: F) -> HandlerFnAsync<F>
where
    F: for<'c> Fn(HostCall<'c>) -> crate::BoxFuture<'c, Result<Bytes, HostCallError>> + Send + Sync,
{
    HandlerFnAsync(answer)
}

/// The handler that [`handler_fn_async`] makes.
#[cfg(feature = "async")]
#[derive(Clone, Copy)]
pub struct HandlerFnAsync<F>(F);

/// Written out, so that the closure's future is not boxed a second time.
#[cfg(feature = "async")]
impl<F> HostHandlerAsync for HandlerFnAsync<F>
where
    F: for<'c> Fn(HostCall<'c>) -> crate::BoxFuture<'c, Result<Bytes, HostCallError>> + Send + Sync,
{
    fn handle<'h, 'c, 'f>(&'h self, call: HostCall<'c>) -> crate::BoxFuture<'f, Result<Bytes, HostCallError>>
    where
        'h: 'f,
        'c: 'f,
        Self: 'f,
    {
        (self.0)(call)
    }
}

#[cfg(feature = "async")]
impl<F> fmt::Debug for HandlerFnAsync<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerFnAsync")
    }
}
