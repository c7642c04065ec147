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
/// The contract is that of [`WebAssemblyEngineProvider`]. Each future may be dropped at any await.
/// The host then discards the instance, and calls [`init`](Self::init) again before the next call.
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

    /// Runs a guest call like [`WebAssemblyEngineProvider::converse`], as far as it gets without
    /// waiting. The host tries it first.
    ///
    /// `None` also says that the call has begun and waits: [`converse_async`](Self::converse_async)
    /// then goes on with it. So a provider that wraps another one has to pass on both methods.
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        let _ = conversation;
        None
    }

    /// Runs a guest call that may suspend, or goes on with one that [`converse`](Self::converse)
    /// began. `None`, for a call that has not begun, sends the host to [`call`](Self::call).
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
