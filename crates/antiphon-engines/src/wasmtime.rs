//! Wasmtime.

use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{EngineOptions, EngineProviderFactory};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

pub(crate) fn compile(
    module: &[u8],
    options: &EngineOptions,
) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    Ok(builder(options).module_bytes(module).factory()?)
}

/// A builder that still needs a module.
fn builder<'a>(options: &EngineOptions) -> WasmtimeEngineProviderBuilder<'a> {
    WasmtimeEngineProviderBuilder::new().options(options.clone())
}

#[cfg(feature = "cache")]
pub(crate) use kept::CODE;

/// Compiled code that is kept.
#[cfg(feature = "cache")]
mod kept {
    use std::io;
    use std::path::Path;

    use antiphon::errors::ErrorKind;
    use antiphon_wasmtime::{ModuleCache, SealKey};

    use super::*;
    use crate::code_store::{CodeStore, Keeping};

    pub(crate) const CODE: Keeping =
        Keeping { factory, open, write, default_directory: ModuleCache::default_directory };

    fn factory(
        store: &CodeStore,
        module: &[u8],
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        let builder = builder(options).module_bytes(module).enable_cache(Some(store.directory()));
        Ok(builder.factory()?)
    }

    fn open(
        store: &CodeStore,
        artifact: &Path,
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        let key = SealKey::open(store.directory()).map_err(no_key)?;
        Ok(builder(options).artifact(artifact, &key).factory()?)
    }

    fn write(
        store: &CodeStore,
        (module, artifact): (&[u8], &Path),
        options: &EngineOptions,
    ) -> Result<(), Error> {
        let key = SealKey::open(store.directory()).map_err(no_key)?;
        Ok(builder(options).module_bytes(module).write_artifact(artifact, &key)?)
    }

    fn no_key(error: io::Error) -> Error {
        let what = "there is no key to seal compiled code with";
        Error::new(ErrorKind::Unsupported, what).with_source(error)
    }
}
