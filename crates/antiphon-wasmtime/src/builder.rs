//! Builds providers.

#[cfg(feature = "cache")]
mod cache;

use std::sync::Arc;

use antiphon::errors::ErrorKind;
use antiphon::{EngineOptions, Isolation, Limits, default_limits};
use wasmtime::{Config, Engine, Module};

use crate::compile::Source;
use crate::compile::cache::{Artifact, ModuleCache};
use crate::engine::{self, Clocked, Recipe};
use crate::errors::{Error, Result};
use crate::instance::Compiled;
use crate::options::{EpochDeadlines, ResourceLimits, Settings};
use crate::provider::WasmtimeEngineProviderPre;

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
///     .limits(Limits::new().memory(8 << 20))
///     .factory()?;
/// assert!(factory.capabilities().deadline);
/// # Ok::<(), antiphon_wasmtime::errors::Error>(())
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct WasmtimeEngineProviderBuilder<'a> {
    engine: Option<Engine>,
    module: Option<Module>,
    module_bytes: Option<&'a [u8]>,
    configure: Option<fn(&mut Config)>,
    resource_limits: Option<ResourceLimits>,
    artifact: Option<Artifact<'a>>,
    cache: Option<ModuleCache>,
    options: EngineOptions,
    epochs: Option<EpochDeadlines>,
    uninterrupted: bool,
    signals: Option<bool>,
}

impl<'a> WasmtimeEngineProviderBuilder<'a> {
    antiphon::builder_methods!('a, Compiled, Error, #[cfg(feature = "async")] async);

    /// Sets a module that is already compiled. Its engine belongs to the caller; see
    /// [`engine`](Self::engine).
    pub fn module(mut self, module: Module) -> Self {
        self.module = Some(module);
        self
    }

    /// Sets an engine of the caller. The caller decides on its settings, and only the caller ticks
    /// its epochs.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Changes the settings of the engine that the builder makes, for example to turn a feature on.
    /// The engine then belongs to this module alone. Without such a function, all modules of a
    /// process that were built with equal settings share an engine.
    ///
    /// The stacks of guests that can suspend follow `max_wasm_stack`, unless `async_stack_size` is
    /// set too. The limit [`stack`](antiphon::Limits::stack) replaces what is set here.
    pub fn configure(mut self, configure: fn(&mut Config)) -> Self {
        self.configure = Some(configure);
        self
    }

    /// Compiles guests so that nothing can end them from outside. This is for trusted code only,
    /// after measuring what it saves: up to half of the time of tight loops, and nothing in most
    /// programs.
    ///
    /// A guest that loops holds its thread forever. There are no deadlines: the default deadlines
    /// do not apply, and a deadline that is set on the builder, on the host, or for a call is
    /// refused as [`ErrorKind::Unsupported`]. A call cannot be cancelled while guest code runs. An
    /// asynchronous guest yields to its executor only where it waits for its host. Only fuel still
    /// ends a guest, if it is counted.
    ///
    /// The builder refuses this as [`ErrorKind::Unsupported`] together with an engine or a module
    /// of the caller, and with [`EpochDeadlines`].
    pub fn dangerously_without_interruption(mut self) -> Self {
        self.uninterrupted = true;
        self
    }

    /// Sets whether the traps of guests are signals of the system, which is on by default.
    ///
    /// The engine then leaves most checks to the processor, and turns SIGSEGV, SIGBUS, SIGILL and
    /// SIGFPE of guest code into traps. The system ends a process in which a thread that blocks
    /// such a signal causes it. So guests must not run on threads that block all signals, as those
    /// of some servers do, which handle signals on one thread of their own. For such threads, turn
    /// this off, or block only what is meant to be handled elsewhere (SIGINT, SIGTERM, ...).
    ///
    /// Off costs checks in guest code: of bounds at each access of memory, and of divisors. How
    /// much that is depends on the guest, so measure it. To unblock the signals around each call
    /// instead would take two calls of the system, 200 ns together where it was measured, which is
    /// more than a whole call of a small guest takes.
    ///
    /// The builder refuses this as [`ErrorKind::Unsupported`] together with an engine or a module
    /// of the caller.
    pub fn signals_based_traps(mut self, enabled: bool) -> Self {
        self.signals = Some(enabled);
        self
    }

    fn compile(&self) -> Result<Arc<Compiled>> {
        let source = match (self.module_bytes, &self.module) {
            (None, None) if let Some(artifact) = self.artifact => Source::Artifact(artifact),
            _ if self.artifact.is_some() => {
                return Err(invalid("`artifact` takes the place of `module_bytes` and `module`"));
            }
            (Some(bytes), None) => Source::Bytes(bytes),
            (None, Some(module)) => Source::Module(module.clone()),
            (Some(_), Some(_)) => {
                return Err(invalid("`module_bytes` and `module` cannot be provided at the same time"));
            }
            (None, None) => return Err(invalid("Neither `module_bytes` nor `module` have been provided")),
        };
        let settings = self.settings()?;
        Ok(Arc::new(Compiled::new(self.clocked(&settings)?, source, settings)?))
    }

    fn clocked(&self, settings: &Settings) -> Result<Clocked> {
        let limits = &settings.options.limits.or(default_limits());
        Ok(match (&self.engine, &self.module) {
            (Some(engine), _) => Clocked::given(engine),
            // A module knows its engine.
            (None, Some(module)) => Clocked::given(module.engine()),
            (None, None) => match self.configure {
                None => engine::shared(self.recipe(settings, limits)?)?,
                // Nothing tells whether two functions set the same.
                configure => self.recipe(settings, limits)?.engine(configure)?,
            },
        })
    }

    fn recipe(&self, settings: &Settings, limits: &Limits) -> Result<Recipe> {
        let options = &settings.options;
        let stack = options.stack()?;
        let per_call = options.isolation == Isolation::PerCall;
        Ok(Recipe {
            reservation: Recipe::reservation(limits),
            // What the caller's settings say counts more than a default of the process.
            stack: if self.configure.is_some() { options.limits.stack } else { stack },
            signals: self.signals,
            interrupts: !self.uninterrupted,
            counts_fuel: limits.fuel.is_some(),
            deterministic: options.deterministic.is_some(),
            pool: per_call.then(|| limits.table_elements_or_default()),
        })
    }

    fn settings(&self) -> Result<Settings> {
        let mut options = self.options.clone();
        if let Some(ResourceLimits { max_memory_size, max_table_elements }) = self.resource_limits {
            let wide =
                |limit: Option<usize>| limit.map_or(u64::MAX, |limit| limit.try_into().unwrap_or(u64::MAX));
            options.limits =
                options.limits.memory(wide(max_memory_size)).table_elements(wide(max_table_elements));
        }
        if options.grants_directories() && cfg!(not(feature = "wasi")) {
            return Err(unsupported("directories for guests need the cargo feature `wasi`"));
        }
        if self.uninterrupted && (self.engine.is_some() || self.module.is_some()) {
            return Err(unsupported(
                "an engine of the caller's is interrupted or not as it was made: its settings are fixed",
            ));
        }
        if self.signals.is_some() && (self.engine.is_some() || self.module.is_some()) {
            return Err(unsupported(
                "an engine of the caller's has traps by signals or not as it was made: its settings are fixed",
            ));
        }
        if options.deterministic.is_some() && (self.engine.is_some() || self.module.is_some()) {
            return Err(unsupported(
                "an engine of the caller's cannot be made deterministic: its settings are fixed",
            ));
        }
        Ok(Settings { options: Arc::new(options), epochs: self.epochs, cache: self.cache.clone() })
    }
}

/// The names of `wasmtime-provider` 2.x, for programs that were written for it. The rest of its
/// builder has the names above.
impl WasmtimeEngineProviderBuilder<'_> {
    /// Limits memory and tables as `wasmtime-provider` does. These values replace the two limits of
    /// the builder.
    pub fn enable_resource_limits(mut self, resource_limits: ResourceLimits) -> Self {
        self.resource_limits = Some(resource_limits);
        self
    }

    /// Counts epoch ticks instead of time; see [`EpochDeadlines`].
    pub fn enable_epoch_interruptions(mut self, epoch_deadlines: EpochDeadlines) -> Self {
        self.epochs = Some(epoch_deadlines);
        self
    }

    /// Stores compiled modules on disk, in this directory or in [`ModuleCache::default_directory`];
    /// see [`cache`](Self::cache). If the directory cannot be used, the builder warns and goes
    /// without a cache.
    #[cfg(feature = "cache")]
    pub fn enable_cache(mut self, path: Option<&std::path::Path>) -> Self {
        self.cache = crate::compile::cache::open_or_warn(path);
        self
    }

    /// Compiles the module, for making many providers of it quickly.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_pre(&self) -> Result<WasmtimeEngineProviderPre> {
        Ok(WasmtimeEngineProviderPre::new(self.compile()?))
    }

    /// Compiles the module, for making many asynchronous providers of it quickly.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    #[cfg(feature = "async")]
    pub fn build_async_pre(&self) -> Result<crate::WasmtimeEngineProviderAsyncPre> {
        Ok(crate::WasmtimeEngineProviderAsyncPre::new(self.compile()?))
    }
}

fn unsupported(what: &str) -> Error {
    antiphon::errors::Error::new(ErrorKind::Unsupported, what).into()
}

fn invalid(what: &str) -> Error {
    Error::BuilderInvalidConfig(what.to_owned())
}

impl std::fmt::Debug for WasmtimeEngineProviderBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmtimeEngineProviderBuilder")
            .field("options", &self.options)
            .field("epochs", &self.epochs)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine_of(builder: &WasmtimeEngineProviderBuilder<'_>) -> Clocked {
        builder.clocked(&builder.settings().unwrap()).unwrap()
    }

    #[test]
    fn builders_of_equal_settings_share_an_engine_and_others_have_one_of_their_own() {
        type Builder = WasmtimeEngineProviderBuilder<'static>;

        let builder = Builder::new;
        let limits = |limits: Limits| builder().limits(limits);
        let per_call = || builder().isolation(Isolation::PerCall);
        let kinds: [fn() -> Builder; 2] =
            [|| Builder::new(), || Builder::new().isolation(Isolation::PerCall)];
        let shared = kinds.map(|kind| {
            let (one, another) = (engine_of(&kind()), engine_of(&kind()));
            assert!(Engine::same(&one.engine, &another.engine));
            assert_eq!(one.pool.is_some(), another.pool.is_some());
            one
        });
        // What does not concern the engine.
        let same = [limits(Limits::new().deadline(std::time::Duration::from_secs(1))), builder().wasi(false)];
        for builder in &same {
            assert!(Engine::same(&engine_of(builder).engine, &shared[0].engine), "{builder:?}");
        }
        let others = [
            limits(Limits::new().fuel(1)),
            limits(Limits::new().stack(1 << 20)),
            builder().deterministic(0, std::time::Duration::ZERO),
            builder().signals_based_traps(false),
            builder().dangerously_without_interruption(),
            builder().configure(|_| {}),
            builder().configure(|_| {}),
            per_call().limits(Limits::new().table_elements(1)),
        ];
        let mut engines: Vec<_> = others.iter().map(engine_of).collect();
        engines.extend(shared);
        for (number, one) in engines.iter().enumerate() {
            let same = engines.iter().filter(|other| Engine::same(&one.engine, &other.engine));
            assert_eq!(same.count(), 1, "engine {number}");
        }
    }

    #[test]
    fn an_engine_goes_with_its_last_module() {
        // No other test has this limit.
        let builder = WasmtimeEngineProviderBuilder::new().limits(Limits::new().stack(123_456));
        let engine = engine_of(&builder);
        let weak = engine.engine.weak();
        assert!(Engine::same(&engine_of(&builder).engine, &engine.engine));
        drop(engine);
        assert!(weak.upgrade().is_none());
        drop(engine_of(&builder));
    }
}
