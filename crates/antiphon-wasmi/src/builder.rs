//! Building providers.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::provider::{Factory, Provider};
use antiphon::{EngineProviderFactory, Limits, WasiParams};
use wasmi::{Config, Engine, Module};

use crate::WasmiEngineProvider;
use crate::compiled::{Compiled, Settings, Source};

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
    module: Option<Module>,
    module_bytes: Option<&'a [u8]>,
    /// The first option that wasmi has no answer to.
    lacks: Option<&'static str>,
    settings: Settings,
}

impl Default for WasmiEngineProviderBuilder<'_> {
    fn default() -> Self {
        Self {
            module: None,
            module_bytes: None,
            lacks: None,
            settings: Settings {
                engine: None,
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

    /// A module that is translated already. Its engine is the caller's: see [`engine`](Self::engine). Its start section
    /// cannot be resumed: it runs under a fixed cap of 16 Mi units of fuel, not under a deadline.
    pub fn module(mut self, module: Module) -> Self {
        self.module = Some(module);
        self
    }

    /// An engine of the caller's. Its settings are the caller's: one that does not count fuel keeps no deadlines, and a
    /// guest whose slice of fuel ends in a `table.grow` is ended. One that counts fuel must translate modules as a whole
    /// ([`wasmi::CompilationMode::Eager`]) or charge nothing for it, and is [`Unsupported`](ErrorKind::Unsupported)
    /// otherwise. The code of each module that it ever saw stays in it.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.settings.engine = Some(engine);
        self
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
    pub fn read_only_dir(mut self, _host: impl Into<String>, _guest: impl Into<String>) -> Self {
        self.lacks.get_or_insert("directories for guests: use the engine wasmtime");
        self
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
    pub fn enable_epoch_interruptions<E>(mut self, _epoch_deadlines: E) -> Self {
        self.lacks.get_or_insert("deadlines in epoch ticks: set deadlines in the limits");
        self
    }

    /// [`Unsupported`](ErrorKind::Unsupported): there is no compiled code to keep.
    pub fn enable_cache(mut self, _path: Option<&std::path::Path>) -> Self {
        self.lacks.get_or_insert("a cache of compiled modules");
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
        let settings = &self.settings;
        let WasiParams { map_dirs, preopened_dirs, .. } = &settings.wasi_params;
        let directories = map_dirs.len().max(preopened_dirs.len()) > 0;
        let lacks = directories.then_some("directories for guests: use the engine wasmtime").or(self.lacks);
        if let Some(lacks) = lacks {
            return Err(unsupported(format!("wasmi has no answer to {lacks}")));
        }
        if settings.deterministic.is_some() && (settings.engine.is_some() || self.module.is_some()) {
            return Err(unsupported("`deterministic` goes with an engine of Antiphon's own only".into()));
        }
        let source = match (self.module_bytes, &self.module) {
            (Some(bytes), None) => Source::Bytes(bytes),
            (None, Some(module)) => Source::Module(module.clone()),
            (Some(_), Some(_)) => {
                return Err(unsupported(
                    "`module_bytes` and `module` cannot be provided at the same time".into(),
                ));
            }
            (None, None) => {
                return Err(unsupported("Neither `module_bytes` nor `module` have been provided".into()));
            }
        };
        Ok(Arc::new(Compiled::new(source, settings.clone())?))
    }
}

fn unsupported(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, what)
}
