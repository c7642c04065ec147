//! A compiled module, and the ways to run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon::{
    Capabilities, EngineOptions, EngineProviderFactory, Error, ErrorKind, HostBuilder, ModuleInfo, Result,
    WebAssemblyEngineProvider,
};

use crate::EngineKind;
use crate::engines::{self, Cache};

/// A compiled module: any number of hosts and pools run it.
///
/// Compiling takes milliseconds to seconds, a host of a compiled module microseconds. So compile a
/// module once and keep it; clones share the compiled code.
///
/// ```
/// use antiphon_host::Module;
///
/// let guest = br#"(module
///   (import "wapc" "__guest_response" (func $respond (param i32 i32)))
///   (memory (export "memory") 1) (data (i32.const 0) "hello")
///   (func (export "__guest_call") (param i32 i32) (result i32)
///     (call $respond (i32.const 0) (i32.const 5)) (i32.const 1)))"#;
///
/// let module = Module::new(guest)?;
/// let (one, another) = (module.host()?.build()?, module.host()?.build()?);
/// assert_eq!(one.call("greet", b"")?, another.call("greet", b"")?);
/// # Ok::<(), antiphon_host::Error>(())
/// ```
#[derive(Clone)]
pub struct Module {
    factory: Arc<dyn EngineProviderFactory>,
}

impl Module {
    /// Compiles a module, in the binary or the text format, on the default engine with the default
    /// options.
    ///
    /// # Errors
    /// Those of [`ModuleBuilder::compile`].
    pub fn new(module: &[u8]) -> Result<Self> {
        Self::builder().compile(module)
    }

    /// Reads a module from a file and compiles it on the default engine with the default options.
    ///
    /// # Errors
    /// Those of [`ModuleBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path)
    }

    /// Begins a module with an engine or options of its own.
    pub fn builder() -> ModuleBuilder {
        ModuleBuilder::default()
    }

    /// Begins a host: one instance of this module, called from threads.
    ///
    /// # Errors
    /// The engine cannot make a provider for such a host.
    pub fn host(&self) -> Result<HostBuilder<dyn WebAssemblyEngineProvider + Send>> {
        Ok(antiphon::WapcHost::builder(self.factory.provider().map_err(Error::from_engine)?))
    }

    /// Returns what the module imports, exports and says about itself.
    #[must_use]
    pub fn info(&self) -> &ModuleInfo {
        self.factory.module_info()
    }

    /// Returns what the engine can do with this module, given its options.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.factory.capabilities()
    }

    /// Returns the factory of providers behind this module, for code that takes any engine.
    #[must_use]
    pub fn factory(&self) -> &Arc<dyn EngineProviderFactory> {
        &self.factory
    }
}

#[cfg(feature = "async")]
impl Module {
    /// Begins an asynchronous host: one instance of this module, called from tasks on any executor.
    ///
    /// # Errors
    /// The engine cannot make a provider for such a host.
    pub fn host_async(&self) -> Result<HostBuilder<dyn antiphon::WebAssemblyEngineProviderAsync + Send>> {
        let provider = self.factory.provider_async().map_err(Error::from_engine)?;
        Ok(antiphon::WapcHostAsync::builder(provider))
    }
}

#[cfg(feature = "pool")]
impl Module {
    /// Begins a pool: many instances of this module behind one call.
    pub fn pool(&self) -> antiphon_pool::HostPoolBuilder {
        antiphon_pool::HostPool::builder(Arc::clone(&self.factory))
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("digest", &self.info().digest).finish_non_exhaustive()
    }
}

/// What a module is compiled with: an engine, its options, a directory for its code.
///
/// An option that the engine lacks is refused when a module is compiled, and never ignored.
/// Modules of equal options share an engine, whichever builder they come from. So a thousand
/// modules cost little more than their code and their instances.
///
/// ```
/// use antiphon_host::{EngineKind, Limits, Module};
///
/// let guest = br#"(module (memory (export "memory") 1)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))"#;
/// let limits = Limits::new().memory(1 << 20);
/// for engine in EngineKind::available() {
///     let module = Module::builder().engine(engine).limits(limits).wasi(false).compile(guest)?;
///     assert!(module.host()?.build()?.call("any", b"").is_err());
/// }
/// # Ok::<(), antiphon_host::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until a module is compiled"]
pub struct ModuleBuilder {
    engine: EngineKind,
    options: EngineOptions,
    cache_dir: Option<PathBuf>,
}

impl ModuleBuilder {
    /// Names the engine; the first one of the build by default.
    pub fn engine(mut self, engine: EngineKind) -> Self {
        self.engine = engine;
        self
    }

    /// Sets all options that engines have in common at once.
    pub fn options(mut self, options: EngineOptions) -> Self {
        self.options = options;
        self
    }

    /// Keeps compiled code in a directory, sealed with a key that only this user can read. A module
    /// whose code is there is loaded instead of compiled. The directory is made when it is needed;
    /// one that cannot be used is left out with a warning.
    ///
    /// [`EngineKind::default_cache_dir`] is the usual place.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(directory.into());
        self
    }

    antiphon::option_setters!(in options);

    /// Compiles a module, in the binary or the text format.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidModule`]: the module is malformed, over a limit, or no waPC guest.
    /// - [`ErrorKind::Unsupported`]: this build lacks the engine, or the engine lacks an option.
    /// - [`ErrorKind::Engine`]: the engine failed.
    pub fn compile(&self, module: &[u8]) -> Result<Module> {
        let factory = match &self.cache_dir {
            None => self.engine.factory(module, &self.options)?,
            Some(directory) => (self.cache()?.compile)(directory, module, &self.options)?,
        };
        Ok(Module { factory })
    }

    /// Reads a module from a file and compiles it.
    ///
    /// # Errors
    /// Those of [`compile`](Self::compile); [`ErrorKind::InvalidModule`] also where the file cannot
    /// be read, with the reason as its source.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let module = fs::read(path).map_err(|error| {
            let what = format!("the module {} cannot be read", path.display());
            Error::new(ErrorKind::InvalidModule, what).with_source(error)
        })?;
        self.compile(&module)
    }

    /// Loads an artifact, a file of native code that [`write_artifact`](Self::write_artifact) wrote
    /// with the key of the same [`cache_dir`](Self::cache_dir) and for the same options.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidModule`], with the reason as its source: the file was changed, sealed
    ///   with another key, or compiled by another version, for another processor or for other
    ///   options; or the module is over its limits.
    /// - [`ErrorKind::Unsupported`]: the engine keeps no code, or no directory was named.
    pub fn open_artifact(&self, artifact: impl AsRef<Path>) -> Result<Module> {
        let open = self.cache()?.open_artifact;
        let factory = open(self.key_directory()?, artifact.as_ref(), &self.options)?;
        Ok(Module { factory })
    }

    /// Compiles a module and writes its native code to a file, whole or not at all, sealed with the
    /// key of [`cache_dir`](Self::cache_dir).
    ///
    /// # Errors
    /// Those of [`compile`](Self::compile); and the file or the key cannot be written.
    pub fn write_artifact(&self, module: &[u8], artifact: impl AsRef<Path>) -> Result<()> {
        let write = self.cache()?.write_artifact;
        write(self.key_directory()?, artifact.as_ref(), module, &self.options)
    }

    fn cache(&self) -> Result<Cache> {
        engines::cache(self.engine).ok_or_else(|| {
            let what = format!(
                "{} keeps no compiled code: it does not compile, or its build lacks the feature `cache`",
                self.engine
            );
            Error::new(ErrorKind::Unsupported, what)
        })
    }

    fn key_directory(&self) -> Result<&Path> {
        self.cache_dir.as_deref().ok_or_else(|| {
            let what = "no directory for the key of artifacts is known: name one with `cache_dir`";
            Error::new(ErrorKind::Unsupported, what)
        })
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
        assert_eq!(EngineKind::Wasmtime.keeps_code(), expected);
        assert!(!EngineKind::Wasmi.keeps_code());
        assert_eq!(EngineKind::Wasmi.default_cache_dir(), None);
    }

    #[test]
    fn an_engine_that_keeps_no_code_refuses_a_directory_for_it() {
        let builder = Module::builder().engine(EngineKind::Wasmi).cache_dir("x");
        let refusals = [
            builder.compile(GUEST).err().unwrap(),
            builder.open_artifact("guest.sealed").err().unwrap(),
            builder.write_artifact(GUEST, "guest.sealed").unwrap_err(),
        ];
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().starts_with("wasmi keeps no compiled code"), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Module::open("no/such/guest.wasm").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        assert_eq!(error.message(), "the module no/such/guest.wasm cannot be read");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn kept_code_is_loaded_and_an_artifact_belongs_to_the_key_of_its_directory() {
        let Some(engine) = EngineKind::available().find(|engine| engine.keeps_code()) else { return };
        let directory = tempfile::tempdir().unwrap();
        let cached = |name: &str| Module::builder().engine(engine).cache_dir(directory.path().join(name));
        let compiled = cached("a").compile(GUEST).unwrap();
        let count = || fs::read_dir(directory.path().join("a")).unwrap().count();
        let kept = count();
        assert!(kept > 0);
        let loaded = cached("a").compile(GUEST).unwrap();
        assert_eq!((loaded.info(), count()), (compiled.info(), kept));

        let artifact = directory.path().join("guest.sealed");
        cached("a").write_artifact(GUEST, &artifact).unwrap();
        assert_eq!(cached("a").open_artifact(&artifact).unwrap().info(), compiled.info());
        let error = cached("b").open_artifact(&artifact).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);

        let error = Module::builder().engine(engine).open_artifact(&artifact).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("no directory for the key"), "{error}");
    }
}
