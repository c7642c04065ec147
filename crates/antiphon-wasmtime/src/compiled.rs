//! A compiled module with the settings of its guests. Every instance of either mode is made from
//! it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::module_info::{Export, ExternKind, Import, ModuleInfo};
use antiphon::provider::HostKind;
use antiphon::{Capabilities, Conversation, EngineOptions, Isolation, Limits};
use wasmtime::{ExternType, Module, ValType};

use crate::engine::{Clock, Clocked};
#[cfg(feature = "cache")]
use crate::environment::Environment;
#[cfg(any(feature = "async", feature = "wasi-fs"))]
use crate::instance::Mode;
use crate::instance::{How, Instance, Unstarted};
use crate::linked::Linked;
use crate::options::EpochDeadlines;
use crate::{errors, loading};

/// The builder's settings for the guests of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) options: EngineOptions,
    pub(crate) epochs: Option<EpochDeadlines>,
    /// The cache of compiled modules, if any.
    #[cfg(feature = "cache")]
    pub(crate) cache: Option<crate::ModuleCache>,
}

/// A module that is ready to be instantiated, in either mode. Cheap to clone except for `info`.
#[derive(Clone)]
pub struct Compiled {
    pub(crate) info: ModuleInfo,
    pub(crate) settings: Settings,
    /// The limits that the host is told about.
    pub(crate) limits: Limits,
    linked: Linked,
    /// Makes instances on demand when the pool of instances has no place left.
    overflow: Arc<OnceLock<Option<Linked>>>,
    #[cfg(feature = "wasi")]
    pub(crate) world: Option<antiphon_wasi::World>,
}

impl Compiled {
    pub(crate) fn new(engine: Clocked, source: Source<'_>, settings: Settings) -> errors::Result<Self> {
        let limits = reported_limits(&engine, &settings)?;
        let (module, info, engine) = source.load(engine, &settings, &limits)?;
        info.check(|import| known_import(import, &settings.options))?;
        info.needs.check(&limits)?;
        let linked = Linked::new(engine, &module, &info, &settings.options)?;
        // Guests with directories use wasmtime-wasi instead of the sealed world.
        #[cfg(feature = "wasi")]
        let world = match settings.options.grants_directories() {
            true => None,
            false => antiphon_wasi::host::world(&info, &settings.options)?,
        };
        Ok(Self {
            info,
            settings,
            limits,
            linked,
            overflow: Arc::default(),
            #[cfg(feature = "wasi")]
            world,
        })
    }

    /// Returns what an artifact is made from: the module as it was handed in, and its code.
    #[cfg(feature = "cache")]
    pub(crate) fn artifact<'a>(&'a self, bytes: &'a [u8]) -> crate::artifact::Written<'a> {
        crate::artifact::Written {
            bytes,
            module: self.linked.straight.module(),
            environment: Environment::of(&self.linked.engine, self.settings.options.deterministic.is_some()),
            info: self.info.clone(),
        }
    }

    /// Returns this module with other epoch deadlines.
    pub(crate) fn with_epochs(this: &Arc<Self>, epochs: Option<EpochDeadlines>) -> errors::Result<Arc<Self>> {
        if epochs == this.settings.epochs {
            return Ok(Arc::clone(this));
        }
        let settings = Settings { epochs, ..this.settings.clone() };
        Ok(Arc::new(Self {
            limits: reported_limits(&this.linked.engine, &settings)?,
            settings,
            ..Self::clone(this)
        }))
    }

    /// Returns the fuel of each call and of a start, within limits that the host has merged.
    /// Returns `None` if the engine counts no fuel.
    ///
    /// Counting costs the guest time in every loop, so an engine of ours counts fuel only if the
    /// builder has a limit. That is fixed when a module is compiled. So a limit that only the host
    /// sets is refused here and not ignored.
    ///
    /// # Errors
    /// Fails if there is a limit and the engine counts no fuel.
    pub(crate) fn fuel(&self, limits: &Limits) -> Result<Option<u64>, Error> {
        self.linked.engine.check_fuel(limits)?;
        Ok(self.linked.engine.counts_fuel().then(|| self.settings.options.fuel(limits)))
    }

    /// Starts an instance in the pool if it has a place, and otherwise on the engine beside the
    /// pool.
    pub(crate) async fn place(
        &self,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        how: How,
    ) -> Result<Instance, Error> {
        let Some(pool) = &self.linked.engine.pool else {
            let started = Instance::start_watched(self, &self.linked, conversation, spare, how).await;
            return started.map_err(|unstarted| unstarted.error);
        };
        let spare = if pool.fits(conversation.limits()) {
            match Instance::start_watched(self, &self.linked, conversation, spare, how).await {
                Ok(instance) => return Ok(instance),
                Err(Unstarted { error, unplaced: None }) => return Err(error),
                Err(Unstarted { error, unplaced: Some(spare) }) => {
                    pool.warn(&error);
                    spare
                }
            }
        } else {
            pool.warn(&"the host allows larger tables than the provider");
            spare
        };
        let overflow = self.overflow.get_or_init(|| {
            let linked = self.linked.on_demand(&self.info, &self.settings.options);
            linked
                .inspect_err(|error| tracing::error!(target: "antiphon", %error, "no engine beside the pool"))
                .ok()
        });
        let linked = overflow.as_ref().unwrap_or(&self.linked);
        let started = Instance::start_watched(self, linked, conversation, spare, how).await;
        started.map_err(|unstarted| unstarted.error)
    }

    /// Returns whether the guest imports a function that always suspends it in asynchronous mode:
    /// WASI's `poll_oneoff`.
    #[cfg(feature = "async")]
    pub(crate) fn waits(&self) -> bool {
        self.info.imports.iter().any(|import| import.name == "poll_oneoff" && import.module != "wapc")
    }

    #[cfg(feature = "async")]
    pub(crate) fn calls_host(&self) -> bool {
        self.info.import(antiphon::HOST_NAMESPACE, antiphon::wapc_functions::HOST_CALL).is_some()
    }

    /// Returns how a guest runs on a host of this kind.
    pub(crate) fn how(&self, host: HostKind, conversation: &Conversation) -> How {
        match host {
            // Suspends only guests that may have to wait. A guest without such imports can also run
            // straight.
            #[cfg(feature = "async")]
            HostKind::Async => {
                let suspends = self.waits() || (self.calls_host() && conversation.can_suspend());
                match (suspends || self.has_directories(), self.settings.options.cooperative) {
                    (true, yields) => How { mode: Mode::Fiber { yields }, suspends: true },
                    (false, true) => How { mode: Mode::Fiber { yields: true }, suspends: false },
                    (false, false) => How::STRAIGHT,
                }
            }
            // Runs straight, except for guests with directories, whose functions all suspend.
            #[cfg(feature = "wasi-fs")]
            _ if self.has_directories() => How { mode: Mode::Fiber { yields: false }, suspends: false },
            _ => {
                let _ = conversation;
                How::STRAIGHT
            }
        }
    }

    /// Returns whether the guest was given real directories. All their functions suspend.
    #[cfg(any(feature = "async", feature = "wasi-fs"))]
    pub(crate) fn has_directories(&self) -> bool {
        self.settings.options.grants_directories()
    }
}

/// Where a module comes from.
pub(crate) enum Source<'a> {
    /// The binary or the text format.
    Bytes(&'a [u8]),
    /// A module that the caller compiled, on the engine that was given.
    Module(Module),
    /// A file of sealed code.
    #[cfg(feature = "cache")]
    Artifact(&'a std::path::Path, &'a crate::SealKey),
}

impl Source<'_> {
    /// Loads the module. Returns it with its info, and the engine that it is on: the given one, or
    /// the one beside its pool.
    fn load(
        self,
        engine: Clocked,
        settings: &Settings,
        limits: &Limits,
    ) -> errors::Result<(Module, ModuleInfo, Clocked)> {
        #[cfg(feature = "cache")]
        let environment = Environment::of(&engine, settings.options.deterministic.is_some());
        #[cfg(not(feature = "cache"))]
        let _ = settings;
        match self {
            Self::Module(module) => {
                if !wasmtime::Engine::same(module.engine(), &engine.engine) {
                    let what = "the `module` was compiled by another `engine` than the one given";
                    return Err(errors::Error::BuilderInvalidConfig(what.into()));
                }
                let info = info_of(&module);
                Ok((module, info, engine))
            }
            #[cfg(feature = "cache")]
            Self::Artifact(path, key) => loading::artifact((path, key), engine, limits, &environment),
            #[cfg(feature = "cache")]
            Self::Bytes(bytes) if let Some(cache) = &settings.cache => {
                loading::cached(bytes, engine, limits, (cache, environment))
            }
            Self::Bytes(bytes) => loading::compile(bytes, engine, limits),
        }
    }
}

/// Returns the limits that the provider brings: those that were set, and no default deadline if the
/// engine cannot keep one or counts epoch ticks.
fn reported_limits(engine: &Clocked, settings: &Settings) -> Result<Limits, Error> {
    let clock = engine.clock;
    let limits = settings.options.provider_limits();
    engine.check_fuel(&limits)?;
    if settings.options.deterministic.is_some() && settings.epochs.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "epoch deadlines count time, which a deterministic guest must not depend on",
        ));
    }
    if clock == Clock::Nobody && settings.epochs.is_some() {
        return Err(crate::engine::unsupported_deadline());
    }
    if clock == Clock::Nobody {
        let explicit = [limits.explicit_deadline(), limits.explicit_init_deadline()];
        if explicit.into_iter().flatten().any(|deadline| deadline != Duration::MAX) {
            return Err(crate::engine::unsupported_deadline());
        }
        static WARNED: std::sync::Once = std::sync::Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                target: "antiphon",
                "an engine has no epoch interruption: guests on it run without a deadline"
            );
        });
    }
    let untimed = clock == Clock::Nobody || settings.epochs.is_some();
    Ok(if untimed { limits.without_default_deadlines() } else { limits })
}

/// Returns the type of an import that is served beyond waPC's own.
fn known_import(import: &Import, options: &EngineOptions) -> Option<ExternKind> {
    #[cfg(feature = "wasi")]
    if options.wasi {
        return antiphon_wasi::host::import_type(import);
    }
    let _ = (import, options);
    None
}

/// Returns what a compiled module still says about itself.
fn info_of(module: &Module) -> ModuleInfo {
    /// The size of a page of memory, in bytes.
    const PAGE: u64 = 64 * 1024;

    let mut info = ModuleInfo::default();
    info.imports = module
        .imports()
        .map(|import| Import::new(import.module(), import.name(), kind_of(&import.ty())))
        .collect();
    info.exports = module.exports().map(|export| Export::new(export.name(), kind_of(&export.ty()))).collect();
    let required = module.resources_required();
    info.needs.memory = required.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE);
    info.needs.tables = required.num_tables.into();
    info.needs.table_elements = required.max_initial_table_size.unwrap_or(0);
    info
}

fn kind_of(ty: &ExternType) -> ExternKind {
    match ty {
        ExternType::Func(func) => {
            let names =
                |types: &mut dyn Iterator<Item = ValType>| types.map(|ty| ty.to_string()).collect::<Vec<_>>();
            ExternKind::func(&names(&mut func.params()), &names(&mut func.results()))
        }
        ExternType::Memory(memory) => {
            ExternKind::Memory { minimum: memory.minimum(), maximum: memory.maximum() }
        }
        ExternType::Table(table) => ExternKind::Table { minimum: table.minimum(), maximum: table.maximum() },
        ExternType::Global(_) => ExternKind::Global,
        ExternType::Tag(_) => ExternKind::Tag,
    }
}

impl antiphon::provider::Compiled for Compiled {
    type Instance = Instance;

    fn compile(&self, bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::new(self.linked.engine.clone(), Source::Bytes(bytes), self.settings.clone())?)
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn isolation(&self) -> Isolation {
        self.settings.options.isolation
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.settings.options.capabilities();
        capabilities.deadline = self.linked.engine.clock != Clock::Nobody;
        capabilities.fuel = self.linked.engine.counts_fuel();
        capabilities.memory_limit = true;
        capabilities.ahead_of_time = cfg!(feature = "cache");
        capabilities.stack_limit = true;
        capabilities.backtrace = true;
        capabilities.suspend = cfg!(feature = "async");
        capabilities.wasi &= cfg!(feature = "wasi");
        capabilities
    }

    fn info(&self) -> &ModuleInfo {
        &self.info
    }
}
