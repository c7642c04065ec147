//! Building providers.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::provider::{Factory, Provider};
use antiphon::{EngineProviderFactory, Limits, WasiParams};
use wasmi::Config;

use crate::WasmiEngineProvider;
use crate::compiled::{Compiled, Settings};

/// Translates a module and makes providers of it, in either mode. The surface of
/// `antiphon_wasmtime::WasmtimeEngineProviderBuilder`: what wasmi has no answer to is
/// [`Unsupported`](ErrorKind::Unsupported) when the provider is built.
///
/// ```
/// use antiphon::Limits;
/// use antiphon_wasmi::WasmiEngineProviderBuilder;
///
/// let module = br#"(module (memory (export "memory") 1)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
/// let factory = WasmiEngineProviderBuilder::new()
///     .module_bytes(module)
///     .limits(Limits::new().with_memory(8 << 20))
///     .factory()?;
/// assert!(factory.capabilities().deadline);
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct WasmiEngineProviderBuilder<'a> {
    module_bytes: Option<&'a [u8]>,
    /// The first option that wasmi has no answer to.
    lacks: Option<&'static str>,
    settings: Settings,
}

impl Default for WasmiEngineProviderBuilder<'_> {
    fn default() -> Self {
        Self {
            module_bytes: None,
            lacks: None,
            settings: Settings {
                configure: None,
                limits: Limits::new(),
                wasi: cfg!(feature = "wasi"),
                wasi_params: WasiParams::default(),
                cooperative: true,
                deterministic: None,
            },
        }
    }
}

impl<'a> WasmiEngineProviderBuilder<'a> {
    /// A builder that still needs a module.
    pub fn new() -> Self {
        Self::default()
    }

    /// The module, in the binary or the text format.
    pub fn module_bytes(mut self, module_bytes: &'a [u8]) -> Self {
        self.module_bytes = Some(module_bytes);
        self
    }

    /// [`Unsupported`](ErrorKind::Unsupported): a module comes as bytes. Its engine has to charge for fuel, and to start it,
    /// in ways that another's does not.
    pub fn module(self, _module: wasmi::Module) -> Self {
        self.lacks("modules that were translated before: give `module_bytes`")
    }

    /// [`Unsupported`](ErrorKind::Unsupported): each module has an engine of its own, in which its code goes with it.
    pub fn engine(self, _engine: wasmi::Engine) -> Self {
        self.lacks("an engine of the caller's: give `configure` a function")
    }

    /// Changes the settings of the engine that will be made, for whoever needs a feature that is off, or wants wasmi's
    /// own limits on modules ([`wasmi::EnforcedLimits::strict`]) besides.
    pub fn configure(mut self, configure: fn(&mut Config)) -> Self {
        self.settings.configure = Some(configure);
        self
    }

    /// Limits of the guest; where the host sets one too, the stricter holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Whether modules that import WASI are served at all. On by default: the sealed world grants clock and random only.
    pub fn wasi(mut self, wasi: bool) -> Self {
        self.settings.wasi = wasi;
        self
    }

    /// Arguments and environment for the guest. Directories are [`Unsupported`](ErrorKind::Unsupported).
    #[cfg(feature = "wasi")]
    pub fn wasi_params(mut self, wasi: WasiParams) -> Self {
        self.settings.wasi_params = wasi;
        self
    }

    /// [`Unsupported`](ErrorKind::Unsupported): the sealed world has no directories.
    pub fn read_only_dir(self, _host: impl Into<String>, _guest: impl Into<String>) -> Self {
        self.lacks(DIRECTORIES)
    }

    /// Whether an asynchronous guest gives way to its executor at each tick; on by default.
    pub fn cooperative(mut self, cooperative: bool) -> Self {
        self.settings.cooperative = cooperative;
        self
    }

    /// Fixes what a guest could tell one run from another by: WASI's random bytes come from the seed, its clocks stand at
    /// `clock`, a time since the Unix epoch. Fuel alone then ends a guest that goes on and on
    /// ([`Limits::DETERMINISTIC_FUEL`], unless the limits say otherwise); an explicit deadline still
    /// holds.
    pub fn deterministic(mut self, seed: u64, clock: Duration) -> Self {
        self.settings.deterministic = Some((seed, clock));
        self
    }

    /// [`Unsupported`](ErrorKind::Unsupported): wasmi has no epochs. Deadlines in time need none.
    pub fn enable_epoch_interruptions<E>(self, _epoch_deadlines: E) -> Self {
        self.lacks("deadlines in epoch ticks: set deadlines in the limits")
    }

    /// [`Unsupported`](ErrorKind::Unsupported): there is no compiled code to keep.
    pub fn enable_cache(self, _path: Option<&std::path::Path>) -> Self {
        self.lacks("a cache of compiled modules")
    }

    fn lacks(mut self, what: &'static str) -> Self {
        self.lacks.get_or_insert(what);
        self
    }

    /// A provider for a [`WapcHost`](antiphon::WapcHost).
    ///
    /// # Errors
    /// The module is refused, or the builder was told what does not go together.
    pub fn build(&self) -> Result<WasmiEngineProvider> {
        Ok(Provider::new(self.compile()?))
    }

    /// A provider for a [`WapcHostAsync`](antiphon::WapcHostAsync).
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    #[cfg(feature = "async")]
    pub fn build_async(&self) -> Result<crate::WasmiEngineProviderAsync> {
        Ok(antiphon::provider::ProviderAsync::new(self.compile()?))
    }

    /// The module as a factory of providers of both modes.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn factory(&self) -> Result<Arc<dyn EngineProviderFactory>> {
        Ok(Arc::new(Factory(self.compile()?)))
    }

    fn compile(&self) -> Result<Arc<Compiled>> {
        let WasiParams { map_dirs, preopened_dirs, .. } = &self.settings.wasi_params;
        let directories = map_dirs.len().max(preopened_dirs.len()) > 0;
        match (self.module_bytes, self.lacks.or(directories.then_some(DIRECTORIES))) {
            (_, Some(lacks)) => {
                Err(Error::new(ErrorKind::Unsupported, format!("wasmi has no answer to {lacks}")))
            }
            (None, None) => Err(Error::new(ErrorKind::Unsupported, "no `module_bytes` have been provided")),
            (Some(bytes), None) => Ok(Arc::new(Compiled::new(bytes, self.settings.clone())?)),
        }
    }
}

const DIRECTORIES: &str = "directories for guests: use the engine wasmtime";
