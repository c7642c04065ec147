//! wasmi.

use std::sync::Arc;

use antiphon::{EngineOptions, EngineProviderFactory, Result};
use antiphon_wasmi::WasmiEngineProviderBuilder;

pub(super) fn compile(module: &[u8], options: &EngineOptions) -> Result<Arc<dyn EngineProviderFactory>> {
    WasmiEngineProviderBuilder::new().module_bytes(module).options(options.clone()).factory()
}
