//! Closures that make futures, as handlers.

use std::fmt;

use bytes::Bytes;

use super::{HostCall, HostCallError, HostHandlerAsync};
use crate::BoxFuture;

/// Makes a closure that returns boxed futures a [`HostHandlerAsync`].
///
/// The future has to be boxed by the closure, because it borrows the call, and has to be `Send`. No
/// bound of stable Rust says both of a closure. With `F: AsyncFn(HostCall<'_>) -> ...` the compiler
/// answers that '`<F as AsyncFnMut<(HostCall<'_>,)>>::CallRefFuture<'_>` cannot be sent between
/// threads safely' (E0277), and the bound that would say so is the 'unstable library feature
/// `async_fn_traits`' (E0658). With a bound over `Fn(HostCall<'c>) -> Future`, `|call| async move {
/// .. }` is refused: 'returning this value requires that `'1` must outlive `'2`'.
///
/// ```
/// use antiphon::{Bytes, WapcHostAsync, handler_fn_async, testing::TestEngine};
///
/// # fn main() -> Result<(), antiphon::errors::Error> { antiphon::block_on(async {
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
/// # }) }
/// ```
pub fn handler_fn_async<F>(answer: F) -> HandlerFnAsync<F>
where
    F: for<'c> Fn(HostCall<'c>) -> BoxFuture<'c, Result<Bytes, HostCallError>> + Send + Sync,
{
    HandlerFnAsync(answer)
}

/// The handler that [`handler_fn_async`] makes.
#[derive(Clone, Copy)]
pub struct HandlerFnAsync<F>(F);

/// Written out, so that the closure's future is not boxed a second time.
impl<F> HostHandlerAsync for HandlerFnAsync<F>
where
    F: for<'c> Fn(HostCall<'c>) -> BoxFuture<'c, Result<Bytes, HostCallError>> + Send + Sync,
{
    fn handle<'h, 'c, 'f>(&'h self, call: HostCall<'c>) -> BoxFuture<'f, Result<Bytes, HostCallError>>
    where
        'h: 'f,
        'c: 'f,
        Self: 'f,
    {
        (self.0)(call)
    }
}

impl<F> fmt::Debug for HandlerFnAsync<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerFnAsync")
    }
}
