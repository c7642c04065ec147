//! wasmi.

use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{EngineOptions, EngineProviderFactory};
use antiphon_wasmi::WasmiEngineProviderBuilder;

pub(crate) fn compile(
    module: &[u8],
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    WasmiEngineProviderBuilder::new().module_bytes(module).options(options.clone()).factory()
}
