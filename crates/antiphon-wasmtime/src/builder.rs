//! Building providers.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::provider::Factory;
use antiphon::{EngineProviderFactory, Limits, WasiParams};
use wasmtime::{Config, Engine, Module};

use crate::compiled::{Compiled, Settings, Source};
use crate::engine::{self, Clocked};
use crate::errors::{Error, Result};
use crate::options::{EpochDeadlines, ResourceLimits};
use crate::provider::{WasmtimeEngineProvider, WasmtimeEngineProviderPre};
#[cfg(feature = "async")]
use crate::provider_async::{WasmtimeEngineProviderAsync, WasmtimeEngineProviderAsyncPre};

/// Compiles a module and makes providers of it, in either mode.
///
/// ```
/// use antiphon::Limits;
/// use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
///
/// let module = br#"(module (memory (export "memory") 1)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
/// let factory = WasmtimeEngineProviderBuilder::new()
///     .module_bytes(module)
///     .limits(Limits::new().with_memory(8 << 20))
///     .factory()?;
/// assert!(factory.capabilities().deadline);
/// # Ok::<(), antiphon_wasmtime::errors::Error>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct WasmtimeEngineProviderBuilder<'a> {
    engine: Option<Engine>,
    module: Option<Module>,
    module_bytes: Option<&'a [u8]>,
    configure: Option<fn(&mut Config)>,
    resource_limits: Option<ResourceLimits>,
    #[cfg(feature = "cache")]
    cache: Option<Option<std::path::PathBuf>>,
    settings: Settings,
}

impl Default for WasmtimeEngineProviderBuilder<'_> {
    fn default() -> Self {
        Self {
            engine: None,
            module: None,
            module_bytes: None,
            configure: None,
            resource_limits: None,
            #[cfg(feature = "cache")]
            cache: None,
            settings: Settings {
                limits: Limits::new(),
                wasi: cfg!(feature = "wasi"),
                wasi_params: WasiParams::default(),
                read_only_dirs: Vec::new(),
                epochs: None,
                cooperative: true,
                deterministic: None,
            },
        }
    }
}

impl<'a> WasmtimeEngineProviderBuilder<'a> {
    /// A builder that still needs a module.
    pub fn new() -> Self {
        Self::default()
    }

    /// The module, in the binary or the text format.
    pub fn module_bytes(mut self, module_bytes: &'a [u8]) -> Self {
        self.module_bytes = Some(module_bytes);
        self
    }

    /// A module that is compiled already. Its engine is the caller's: see [`engine`](Self::engine).
    pub fn module(mut self, module: Module) -> Self {
        self.module = Some(module);
        self
    }

    /// An engine of the caller's. Its settings are the caller's, and nobody but the caller ticks its epochs.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Changes the settings of the engine that will be made, for whoever needs a feature that is off.
    pub fn configure(mut self, configure: fn(&mut Config)) -> Self {
        self.configure = Some(configure);
        self
    }

    /// Limits of the guest; where the host sets one too, the stricter holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Caps memory and tables as `wasmtime-provider` does: where given, it replaces these two limits.
    pub fn enable_resource_limits(mut self, resource_limits: ResourceLimits) -> Self {
        self.resource_limits = Some(resource_limits);
        self
    }

    /// Counts epoch ticks instead of the time; see [`EpochDeadlines`].
    pub fn enable_epoch_interruptions(mut self, epoch_deadlines: EpochDeadlines) -> Self {
        self.settings.epochs = Some(epoch_deadlines);
        self
    }

    /// Whether modules that import WASI are served at all. On by default: the sealed world grants clock and random only.
    pub fn wasi(mut self, wasi: bool) -> Self {
        self.settings.wasi = wasi;
        self
    }

    /// Arguments, environment and (feature `wasi-fs`) directories for the guest.
    #[cfg(feature = "wasi")]
    pub fn wasi_params(mut self, wasi: WasiParams) -> Self {
        self.settings.wasi_params = wasi;
        self
    }

    /// A directory of the host that the guest may only read, under the guest's name for it.
    #[cfg(feature = "wasi-fs")]
    pub fn read_only_dir(mut self, host: impl Into<String>, guest: impl Into<String>) -> Self {
        self.settings.read_only_dirs.push((guest.into(), host.into()));
        self
    }

    /// Whether an asynchronous guest gives way to its executor at each tick; on by default. Off is faster, for short
    /// calls of trusted guests: a guest that cannot wait then runs straight, on its executor's thread, to its end.
    pub fn cooperative(mut self, cooperative: bool) -> Self {
        self.settings.cooperative = cooperative;
        self
    }

    /// Makes each run of a guest like every other: the same calls get the same answers and burn the same fuel.
    ///
    /// WASI's random bytes come from `seed`, and its clock shows `clock`, a time since the Unix epoch, in every instance
    /// from its start; waits are over at once and move the clock. NaNs that the guest computes are canonical. Relaxed SIMD
    /// and threads are off, whatever [`configure`](Self::configure) says. Fuel is counted, and is what ends a guest: where
    /// neither the host nor these limits set it, it is [`Limits::DETERMINISTIC_FUEL`] for a call and for a start, and the
    /// default deadlines do not apply. A deadline that is set, or a cancelled call, makes a run depend on its machine
    /// again, and so do a host's handlers, unless they answer alike each time.
    ///
    /// The fuel is that of one version of Wasmtime: another one may burn more or less for the same answer. Where a guest
    /// overflows its stack depends on the machine.
    ///
    /// Refused as [`ErrorKind::Unsupported`] together with an engine or a module of the caller's, whose settings are the
    /// caller's, with directories, and with [`EpochDeadlines`].
    pub fn deterministic(mut self, seed: u64, clock: Duration) -> Self {
        self.settings.deterministic = Some((seed, clock));
        self
    }

    /// Keeps compiled modules on disk, in a directory or in Wasmtime's own. No effect on a given engine. A cache that
    /// cannot be used is left out with a warning.
    #[cfg(feature = "cache")]
    pub fn enable_cache(mut self, path: Option<&std::path::Path>) -> Self {
        self.cache = Some(path.map(std::path::Path::to_path_buf));
        self
    }

    /// A provider for a [`WapcHost`](antiphon::WapcHost).
    ///
    /// # Errors
    /// The module is refused, or the builder was told what does not go together.
    pub fn build(&self) -> Result<WasmtimeEngineProvider> {
        Ok(WasmtimeEngineProvider::new(self.compile()?))
    }

    /// The compiled module, from which providers are made quickly.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_pre(&self) -> Result<WasmtimeEngineProviderPre> {
        Ok(WasmtimeEngineProviderPre::new(self.compile()?))
    }

    /// A provider for a [`WapcHostAsync`](antiphon::WapcHostAsync).
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    #[cfg(feature = "async")]
    pub fn build_async(&self) -> Result<WasmtimeEngineProviderAsync> {
        Ok(WasmtimeEngineProviderAsync::new(self.compile()?))
    }

    /// The compiled module, from which asynchronous providers are made quickly.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    #[cfg(feature = "async")]
    pub fn build_async_pre(&self) -> Result<WasmtimeEngineProviderAsyncPre> {
        Ok(WasmtimeEngineProviderAsyncPre::new(self.compile()?))
    }

    /// The compiled module as a factory of providers of both modes.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn factory(&self) -> Result<Arc<dyn EngineProviderFactory>> {
        Ok(Arc::new(Factory(self.compile()?)))
    }

    fn compile(&self) -> Result<Arc<Compiled>> {
        let source = match (self.module_bytes, &self.module) {
            (Some(bytes), None) => Source::Bytes(bytes),
            (None, Some(module)) => Source::Module(module.clone()),
            (Some(_), Some(_)) => {
                return Err(invalid("`module_bytes` and `module` cannot be provided at the same time"));
            }
            (None, None) => return Err(invalid("Neither `module_bytes` nor `module` have been provided")),
        };
        let settings = self.settings()?;
        let engine = match (&self.engine, &self.module) {
            (Some(engine), _) => Clocked::given(engine),
            // A module knows its engine.
            (None, Some(module)) => Clocked::given(module.engine()),
            (None, None) => Clocked::new(&self.config()?)?,
        };
        Ok(Arc::new(Compiled::new(engine, source, settings)?))
    }

    fn settings(&self) -> Result<Settings> {
        let mut settings = self.settings.clone();
        if let Some(ResourceLimits { max_memory_size, max_table_elements }) = self.resource_limits {
            let wide =
                |limit: Option<usize>| limit.map_or(u64::MAX, |limit| limit.try_into().unwrap_or(u64::MAX));
            settings.limits = settings
                .limits
                .with_memory(wide(max_memory_size))
                .with_table_elements(wide(max_table_elements));
        }
        let WasiParams { map_dirs, preopened_dirs, .. } = &settings.wasi_params;
        let directories = map_dirs.len().max(preopened_dirs.len()) > 0;
        if directories && cfg!(not(feature = "wasi-fs")) {
            let what = "directories for guests need the feature `wasi-fs` of antiphon-wasmtime";
            return Err(unsupported(what));
        }
        if settings.deterministic.is_some() {
            if self.engine.is_some() || self.module.is_some() {
                return Err(unsupported(
                    "an engine of the caller's cannot be made deterministic: its settings are fixed",
                ));
            }
            if directories || !settings.read_only_dirs.is_empty() {
                return Err(unsupported(
                    "what is in a directory makes a guest with directories not deterministic",
                ));
            }
        }
        Ok(settings)
    }

    fn config(&self) -> Result<Config> {
        let mut config = engine::config();
        #[cfg(feature = "cache")]
        if let Some(path) = &self.cache {
            config.cache(open_cache(path.as_deref()));
        }
        if let Some(configure) = self.configure {
            configure(&mut config);
            // Not to be configured away: deadlines hang on it.
            config.epoch_interruption(true);
        }
        if self.settings.limits.explicit_fuel().is_some() {
            config.consume_fuel(true);
        }
        if self.settings.deterministic.is_some() {
            engine::make_deterministic(&mut config);
        }
        Ok(config)
    }
}

fn unsupported(what: &str) -> Error {
    antiphon::errors::Error::new(ErrorKind::Unsupported, what).into()
}

fn invalid(what: &str) -> Error {
    Error::BuilderInvalidConfig(what.to_owned())
}

#[cfg(feature = "cache")]
fn open_cache(path: Option<&std::path::Path>) -> Option<wasmtime::Cache> {
    let opened = match path {
        None => wasmtime::CacheConfig::from_file(None).and_then(wasmtime::Cache::new),
        Some(path) => {
            let mut config = wasmtime::CacheConfig::new();
            config.with_directory(path);
            wasmtime::Cache::new(config)
        }
    };
    opened
        .map_err(
            |error| tracing::warn!(target: "antiphon", %error, "the cache of compiled modules is not used"),
        )
        .ok()
}

impl std::fmt::Debug for WasmtimeEngineProviderBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmtimeEngineProviderBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
