//! The asynchronous provider.

use std::fmt;
use std::sync::Arc;

use antiphon::EngineProviderFactory;
use antiphon::provider::{Factory, ProviderAsync};

use crate::errors::Result;
use crate::instance::Compiled;

/// Runs one instance of a guest for a [`WapcHostAsync`](antiphon::WapcHostAsync).
///
/// Made by
/// [`WasmtimeEngineProviderBuilder::build_async`](crate::WasmtimeEngineProviderBuilder::build_async).
/// A clone is a provider of the same module, with no instance started yet.
///
/// Guest code runs on a stack of its own. While the guest waits for its host, its thread serves
/// other tasks, and the guest yields to them at each tick of 5 ms. With `cooperative(false)` on the
/// builder, guests that cannot wait run straight.
pub type WasmtimeEngineProviderAsync = ProviderAsync<Compiled>;

/// A compiled module from which asynchronous providers are made quickly.
#[derive(Clone)]
pub struct WasmtimeEngineProviderAsyncPre {
    compiled: Arc<Compiled>,
}

impl WasmtimeEngineProviderAsyncPre {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled }
    }

    /// Makes a provider of this module, with the builder's deadlines.
    ///
    /// # Errors
    /// None today; the signature is that of `wasmtime-provider`.
    pub fn rehydrate(&self) -> Result<WasmtimeEngineProviderAsync> {
        Ok(WasmtimeEngineProviderAsync::new(Arc::clone(&self.compiled)))
    }

    /// Returns a factory of this module.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn EngineProviderFactory> {
        Arc::new(Factory(Arc::clone(&self.compiled)))
    }
}

impl fmt::Debug for WasmtimeEngineProviderAsyncPre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeEngineProviderAsyncPre").finish_non_exhaustive()
    }
}
