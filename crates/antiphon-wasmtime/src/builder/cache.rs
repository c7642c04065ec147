//! What is kept on disk: a cache of compiled modules, and artifacts.

use std::path::Path;

use super::{WasmtimeEngineProviderBuilder, invalid};
use crate::compile::Source;
use crate::compile::cache::{self, Artifact, ModuleCache, SealKey};
use crate::errors::Result;
use crate::instance::Compiled;
use crate::options::Settings;

impl<'a> WasmtimeEngineProviderBuilder<'a> {
    /// Looks for the compiled module in a cache, and stores it there once it is compiled. Modules
    /// that later come from this builder do so too: by a replacement, or by
    /// [`with_module`](antiphon::EngineProviderFactory::with_module).
    pub fn cache(mut self, cache: ModuleCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets the module as a file of native code that was sealed with this key, instead of
    /// [`module_bytes`](Self::module_bytes). [`write_artifact`](Self::write_artifact) makes such a
    /// file. The engine needs the settings that the file was compiled for.
    ///
    /// If the file is not valid, `build` fails with
    /// [`InvalidModule`](antiphon::errors::ErrorKind::InvalidModule), with an
    /// [`ArtifactError`](crate::ArtifactError) as its source. The limits hold as they do for the
    /// module itself.
    pub fn artifact(mut self, path: &'a Path, key: &'a SealKey) -> Self {
        self.artifact = Some(Artifact { path, key });
        self
    }

    /// Compiles the module and writes its native code to a file, sealed with a key. The file
    /// appears whole or not at all.
    ///
    /// The file can be loaded by this user, on machines like this one, with this version of
    /// Wasmtime and these settings of the engine.
    ///
    /// # Errors
    /// Fails if the module is refused, as by [`build`](Self::build), if the file cannot be written,
    /// or if the path names something that is not a plain file.
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
