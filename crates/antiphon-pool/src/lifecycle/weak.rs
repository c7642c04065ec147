//! A handle that does not keep its pool alive.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::pool::HostPool;
use crate::shared::Inner;

/// A handle of a pool that does not keep it alive, for the pool's own handlers. A handler lives as
/// long as its pool, so a handler with a [`HostPool`] would keep the pool alive forever.
///
/// ```
/// use antiphon::testing::{TestEngine, TestFactory};
/// use antiphon::{HostCallError, Request, handler_fn_async};
/// use antiphon_pool::{HostPool, WeakHostPool};
/// use std::sync::{Arc, OnceLock};
///
/// let guest = TestEngine::new()
///     .operation("echo", |payload| Ok(payload.to_vec()))
///     .operation_with_host("twice", |guest| async move { guest.host_call("", "", "echo", guest.payload()).await });
/// let known = Arc::new(OnceLock::<WeakHostPool>::new());
/// let pool = HostPool::builder(Arc::new(TestFactory::new(guest)))
///     .max(2)
///     .handler(handler_fn_async({
///         let known = Arc::clone(&known);
///         move |call| {
///             let (pool, inner) = (known.get().and_then(WeakHostPool::upgrade), call.payload.to_vec());
///             let request = Request::new("echo", inner).caller(call.caller());
///             Box::pin(async move {
///                 let pool = pool.ok_or(HostCallError::new("the pool is gone"))?;
///                 Ok(pool.call_with(request).await?.payload.into())
///             })
///         }
///     }))
///     .build_blocking()?;
/// known.set(pool.downgrade()).unwrap();
/// assert_eq!(pool.call_blocking("twice", b"hi")?, b"hi");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Clone)]
pub struct WeakHostPool(Weak<Inner>);

impl WeakHostPool {
    /// Returns the pool, or `None` if it is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<HostPool> {
        self.0.upgrade().map(HostPool::new)
    }
}

impl HostPool {
    /// Returns a handle that does not keep the pool alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakHostPool {
        WeakHostPool(Arc::downgrade(&self.inner))
    }
}

impl fmt::Debug for WeakHostPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakHostPool")
    }
}
