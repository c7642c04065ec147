//! Compiled code that outlives the program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineOptions, EngineProviderFactory};

use crate::any_engine::AnyEngine;
use crate::providers;

/// A directory where an engine keeps what it compiled, sealed with a key that only this user can read.
///
/// [`factory`](Self::factory) looks there for a module before it compiles it. [`write_artifact`](Self::write_artifact)
/// writes the same code to a file of its own, which [`open_artifact`](Self::open_artifact) loads without the module.
///
/// ```
/// use antiphon_engines::{AnyEngine, CodeStore, EngineOptions};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("code");
/// let module = br#"(module (memory (export "memory") 0)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))"#;
/// let engine = AnyEngine::default();
/// let factory = if engine.keeps_code() {
///     CodeStore::new(engine, &directory)?.factory(module, &EngineOptions::new())?
/// } else {
///     engine.factory(module, &EngineOptions::new())?
/// };
/// # let _ = factory;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CodeStore {
    directory: PathBuf,
    /// How the engine does it.
    keeping: Keeping,
}

/// What comes of a module.
type Made = Result<Arc<dyn EngineProviderFactory>, Error>;

/// A module, and the file that its code goes to.
type Compilation<'a> = (&'a [u8], &'a Path);

/// What an engine that compiles does with a store.
#[cfg_attr(
    not(all(feature = "wasmtime", feature = "cache")),
    allow(dead_code, reason = "only an engine that compiles has one")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    pub(crate) factory: fn(&CodeStore, &[u8], &EngineOptions) -> Made,
    pub(crate) open: fn(&CodeStore, &Path, &EngineOptions) -> Made,
    pub(crate) write: fn(&CodeStore, Compilation<'_>, &EngineOptions) -> Result<(), Error>,
    pub(crate) default_directory: fn() -> Option<PathBuf>,
}

impl AnyEngine {
    /// Whether the engine compiles, and this build can keep what it compiled: an interpreter has nothing to keep.
    #[must_use]
    pub const fn keeps_code(self) -> bool {
        self.keeping().is_some()
    }

    const fn keeping(self) -> Option<Keeping> {
        match self {
            Self::Wasmtime => providers::WASMTIME_CODE,
            Self::Wasmi => None,
        }
    }
}

impl CodeStore {
    /// The store of an engine in a directory. It is made when it is first needed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: the engine has nothing to keep, or this build has not the feature `cache`.
    pub fn new(engine: AnyEngine, directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let Some(keeping) = engine.keeping() else {
            let what = format!(
                "{engine} keeps no compiled code: it does not compile, or its build lacks the feature `cache`"
            );
            return Err(Error::new(ErrorKind::Unsupported, what));
        };
        Ok(Self { directory: directory.into(), keeping })
    }

    /// The directory for an engine's code among this user's caches; `None` where the environment names no such place, or
    /// the engine keeps nothing.
    #[must_use]
    pub fn default_directory(engine: AnyEngine) -> Option<PathBuf> {
        engine.keeping().and_then(|keeping| (keeping.default_directory)())
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same as [`AnyEngine::factory`], but for a module that is in the store already, which is loaded. A store that
    /// cannot be used is left out with a warning.
    ///
    /// # Errors
    /// Those of [`AnyEngine::factory`].
    pub fn factory(
        &self,
        module: &[u8],
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        (self.keeping.factory)(self, module, options)
    }

    /// Loads an artifact that was written with the key of this directory, for the same options.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`], with the reason as its source: changed, sealed with another key, compiled by another
    /// version, for another processor or for other options, or over its limits.
    pub fn open_artifact(
        &self,
        artifact: &Path,
        options: &EngineOptions,
    ) -> Result<Arc<dyn EngineProviderFactory>, Error> {
        (self.keeping.open)(self, artifact, options)
    }

    /// Compiles a module and writes its code to a file, sealed with the key of this directory.
    ///
    /// # Errors
    /// Those of [`AnyEngine::factory`]; and the file or the key cannot be written.
    pub fn write_artifact(
        &self,
        module: &[u8],
        artifact: &Path,
        options: &EngineOptions,
    ) -> Result<(), Error> {
        (self.keeping.write)(self, (module, artifact), options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &[u8] = br#"(module (memory (export "memory") 0)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))"#;

    #[test]
    fn an_engine_keeps_code_where_it_compiles_and_the_feature_is_on() {
        let expected = cfg!(all(feature = "wasmtime", feature = "cache"));
        assert_eq!(AnyEngine::Wasmtime.keeps_code(), expected);
        assert_eq!(CodeStore::new(AnyEngine::Wasmtime, "x").is_ok(), expected);
        assert!(!AnyEngine::Wasmi.keeps_code());
        let error = CodeStore::new(AnyEngine::Wasmi, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().starts_with("wasmi keeps no compiled code"), "{error}");
        assert_eq!(CodeStore::default_directory(AnyEngine::Wasmi), None);
    }

    #[test]
    fn what_was_kept_is_loaded_and_an_artifact_is_of_its_store_alone() {
        let Some(engine) = AnyEngine::available().find(|engine| engine.keeps_code()) else { return };
        let directory = tempfile::tempdir().unwrap();
        let store = |name: &str| CodeStore::new(engine, directory.path().join(name)).unwrap();
        let options = EngineOptions::new();
        let compiled = store("a").factory(GUEST, &options).unwrap();
        let count = || std::fs::read_dir(store("a").directory()).unwrap().count();
        let kept = count();
        let loaded = store("a").factory(GUEST, &options).unwrap();
        assert_eq!((loaded.module_info(), count()), (compiled.module_info(), kept));

        let artifact = directory.path().join("guest.sealed");
        store("a").write_artifact(GUEST, &artifact, &options).unwrap();
        let opened = store("a").open_artifact(&artifact, &options).unwrap();
        assert_eq!(opened.module_info(), compiled.module_info());
        let error = store("b").open_artifact(&artifact, &options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
    }
}
