//! Wasmtime.

use std::sync::Arc;

use antiphon::{EngineOptions, EngineProviderFactory, Result};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

pub(super) fn compile(module: &[u8], options: &EngineOptions) -> Result<Arc<dyn EngineProviderFactory>> {
    Ok(builder(options).module_bytes(module).factory()?)
}

/// Returns a builder that still needs a module.
fn builder<'a>(options: &EngineOptions) -> WasmtimeEngineProviderBuilder<'a> {
    WasmtimeEngineProviderBuilder::new().options(options.clone())
}

#[cfg(feature = "cache")]
pub(super) use cached::CACHE;

/// Compiled code in a directory.
#[cfg(feature = "cache")]
mod cached {
    use std::path::Path;

    use antiphon::{Error, ErrorKind};
    use antiphon_wasmtime::{ModuleCache, SealKey};

    use super::*;
    use crate::engines::Cache;

    pub(in crate::engines) const CACHE: Cache =
        Cache { compile, open_artifact, write_artifact, default_directory: ModuleCache::default_directory };

    fn compile(
        directory: &Path,
        module: &[u8],
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>> {
        Ok(builder(options).module_bytes(module).enable_cache(Some(directory)).factory()?)
    }

    fn open_artifact(
        directory: &Path,
        artifact: &Path,
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>> {
        Ok(builder(options).artifact(artifact, &key(directory)?).factory()?)
    }

    fn write_artifact(
        directory: &Path,
        artifact: &Path,
        module: &[u8],
        options: &EngineOptions,
    ) -> Result<()> {
        Ok(builder(options).module_bytes(module).write_artifact(artifact, &key(directory)?)?)
    }

    /// Returns the key that seals the code of a directory.
    fn key(directory: &Path) -> Result<SealKey> {
        SealKey::open(directory).map_err(|error| {
            let what = "there is no key to seal compiled code with";
            Error::new(ErrorKind::Unsupported, what).with_source(error)
        })
    }
}
