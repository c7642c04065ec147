//! The engines of this build. This is the one place that asks which of them it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon::{EngineOptions, EngineProviderFactory, Result};

use crate::EngineKind;

#[cfg(feature = "wasmi")]
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

/// A compiled module.
type Made = Result<Arc<dyn EngineProviderFactory>>;

/// Compiles a module on an engine.
pub(crate) type Compile = fn(&[u8], &EngineOptions) -> Made;

/// What an engine that compiles does with a directory for its code, which is the first argument of
/// each.
#[derive(Clone, Copy)]
pub(crate) struct Cache {
    /// Loads a module's code from the directory, or compiles the module and keeps its code there.
    pub(crate) compile: fn(&Path, &[u8], &EngineOptions) -> Made,
    /// Loads the artifact at the second path.
    pub(crate) open_artifact: fn(&Path, &Path, &EngineOptions) -> Made,
    /// Compiles a module and writes its artifact to the second path.
    pub(crate) write_artifact: fn(&Path, &Path, &[u8], &EngineOptions) -> Result<()>,
    pub(crate) default_directory: fn() -> Option<PathBuf>,
}

/// Returns how an engine compiles; `None` where the engine is not in this build.
pub(crate) const fn compile(engine: EngineKind) -> Option<Compile> {
    match engine {
        #[cfg(feature = "wasmtime")]
        EngineKind::Wasmtime => Some(wasmtime::compile),
        #[cfg(feature = "wasmi")]
        EngineKind::Wasmi => Some(wasmi::compile),
        #[cfg(not(all(feature = "wasmtime", feature = "wasmi")))]
        _ => None,
    }
}

/// Returns how an engine keeps what it compiled; `None` where it has nothing to keep, or this build
/// lacks the feature `cache`.
pub(crate) const fn cache(engine: EngineKind) -> Option<Cache> {
    match engine {
        #[cfg(all(feature = "wasmtime", feature = "cache"))]
        EngineKind::Wasmtime => Some(wasmtime::CACHE),
        _ => None,
    }
}
