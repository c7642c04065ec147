//! What is kept on disk: a cache of compiled modules, and artifacts.

use std::path::Path;

use super::{WasmtimeEngineProviderBuilder, invalid};
use crate::compile::Source;
use crate::compile::cache::{self, Artifact, ModuleCache, SealKey};
use crate::errors::Result;
use crate::instance::Compiled;
use crate::options::Settings;

impl<'a> WasmtimeEngineProviderBuilder<'a> {
    /// Looks for the compiled module in a cache, and keeps it there once it is compiled. So does whatever comes of the
    /// builder: a replaced module, [`with_module`](antiphon::EngineProviderFactory::with_module).
    pub fn cache(mut self, cache: ModuleCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The module as a file of native code that was sealed with this key: [`write_artifact`](Self::write_artifact) makes
    /// one. It takes the place of [`module_bytes`](Self::module_bytes), and needs an engine with the settings that it was
    /// compiled for.
    ///
    /// What is wrong with the file is an [`ErrorKind::InvalidModule`] with an [`ArtifactError`](crate::ArtifactError) as
    /// its source. The limits hold as they do for the module itself.
    pub fn artifact(mut self, path: &'a Path, key: &'a SealKey) -> Self {
        self.artifact = Some(Artifact { path, key });
        self
    }

    /// Compiles the module and writes its native code to a file, whole or not at all, sealed with a key.
    ///
    /// The file is this user's, on machines like this one, with this version of Wasmtime and these settings of the engine.
    ///
    /// # Errors
    /// The module is refused, as by [`build`](Self::build); or the file cannot be written, or there is something in its place
    /// that is no plain file.
    pub fn write_artifact(&self, path: &Path, key: &SealKey) -> Result<()> {
        let Some(bytes) = self.module_bytes else {
            return Err(invalid("an artifact is made of `module_bytes`"));
        };
        cache::check(path)?;
        let settings = Settings { cache: None, ..self.settings()? };
        let compiled = Compiled::new(self.clocked(&settings)?, Source::Bytes(bytes), settings)?;
        cache::write(path, key, compiled.written(bytes))?;
        Ok(())
    }
}
