//! The seam of asynchronous engines.

use std::sync::Arc;

use antiphon_protocol::Limits;
use async_trait::async_trait;

use super::EngineProviderFactory;
#[cfg(doc)]
use super::WebAssemblyEngineProvider;
use super::wapc2::ModuleStateAsync;
use crate::BoxFuture;
use crate::call::Isolation;
use crate::conversation::Conversation;
use crate::errors::BoxError;

/// An engine that runs one instance of a guest, asynchronously.
///
/// The contract is that of [`WebAssemblyEngineProvider`]. Any of the futures may be dropped at any await; the host
/// discards the instance then, and calls [`init`](Self::init) again before the next call.
#[async_trait]
pub trait WebAssemblyEngineProviderAsync {
    /// See [`WebAssemblyEngineProvider::init`].
    ///
    /// # Errors
    /// The guest cannot be started.
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError>;

    /// See [`WebAssemblyEngineProvider::call`].
    ///
    /// # Errors
    /// The guest call did not return.
    async fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError>;

    /// See [`WebAssemblyEngineProvider::replace`].
    ///
    /// # Errors
    /// The module is refused, or the engine cannot replace modules.
    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError>;

    /// [`WebAssemblyEngineProvider::converse`], for a guest that does not wait in this call. Tried first. `None` may also
    /// say that the call has begun and waits: then [`converse_async`](Self::converse_async) goes on with it. So a provider
    /// around another one passes on that as well.
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        let _ = conversation;
        None
    }

    /// The same for a guest that may suspend. `None`, for a call that has not begun, sends the host to [`call`](Self::call).
    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        let _ = conversation;
        None
    }

    /// See [`WebAssemblyEngineProvider::limits`].
    fn limits(&self) -> Limits {
        Limits::new()
    }

    /// See [`WebAssemblyEngineProvider::isolation`].
    fn isolation(&self) -> Isolation {
        Isolation::Reuse
    }

    /// See [`WebAssemblyEngineProvider::discard`].
    fn discard(&mut self) {}

    /// See [`WebAssemblyEngineProvider::factory`].
    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        None
    }
}
