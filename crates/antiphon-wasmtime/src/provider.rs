//! The synchronous provider.

use std::fmt;
use std::sync::Arc;

use antiphon::EngineProviderFactory;
use antiphon::provider::{Factory, Provider};

use crate::errors::Result;
use crate::instance::Compiled;
use crate::options::EpochDeadlines;

/// Runs one instance of a guest for a [`WapcHost`](antiphon::WapcHost).
///
/// Made by [`WasmtimeEngineProviderBuilder::build`](crate::WasmtimeEngineProviderBuilder::build). A
/// clone is a provider of the same module, with no instance started yet.
pub type WasmtimeEngineProvider = Provider<Compiled>;

/// A compiled module from which synchronous providers are made quickly.
#[derive(Clone)]
pub struct WasmtimeEngineProviderPre {
    compiled: Arc<Compiled>,
}

impl WasmtimeEngineProviderPre {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled }
    }

    /// Makes a provider of this module, with deadlines in epoch ticks or without.
    ///
    /// # Errors
    /// Fails for epoch deadlines on an engine without epoch interruption.
    pub fn rehydrate(&self, epoch_deadlines: Option<EpochDeadlines>) -> Result<WasmtimeEngineProvider> {
        Ok(WasmtimeEngineProvider::new(Compiled::with_epochs(&self.compiled, epoch_deadlines)?))
    }

    /// Returns a factory of this module.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn EngineProviderFactory> {
        Arc::new(Factory(Arc::clone(&self.compiled)))
    }
}

impl fmt::Debug for WasmtimeEngineProviderPre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeEngineProviderPre").finish_non_exhaustive()
    }
}
