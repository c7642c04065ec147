//! Closures as handlers.

use std::fmt;

use bytes::Bytes;

use super::{HostCall, HostCallError, HostHandler};

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
