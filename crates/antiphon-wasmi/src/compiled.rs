//! One module with the settings of its guests. Every instance of either mode is made from it.

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::module_info::ModuleInfo;
use antiphon::{Capabilities, EngineOptions, Isolation, Limits, default_limits};
use antiphon_wasi::{World, host};
use wasmi::{Config, Engine, Linker, Module, Store};

use crate::data::Data;
use crate::instance::Instance;
use crate::shim::Shim;
use crate::{engine, imports, trap, wasi};

/// A module that is ready to be instantiated, in either mode.
pub struct Compiled {
    pub(crate) engine: Engine,
    pub(crate) info: ModuleInfo,
    pub(crate) options: EngineOptions,
    configure: Option<fn(&mut Config)>,
    module: Module,
    /// The export that the start section was turned into. wasmi runs a start section as a part of
    /// the instantiation, which cannot be resumed. So `ModuleInfo::export_start` removes the
    /// section from the module's bytes and exports its function under a free name, and that export
    /// is called first. It then ends by its deadline like other init exports.
    pub(crate) start: Option<String>,
    linker: Linker<Data>,
    shim: Option<Shim>,
    pub(crate) world: Option<World>,
}

impl Compiled {
    pub(crate) fn new(
        bytes: &[u8],
        options: &EngineOptions,
        configure: Option<fn(&mut Config)>,
    ) -> Result<Self> {
        let limits = options.limits.or(default_limits());
        let (bytes, info) = ModuleInfo::load(bytes, &limits)?;
        info.check(|import| host::import_type(import).filter(|_| options.wasi))?;
        info.needs.check(&limits)?;

        let engine = engine::new(&info.code, options, configure)?;
        let (bytes, start) = info.export_start(bytes);
        let module = Module::new(&engine, &bytes).map_err(trap::refused)?;
        let mut linker = Linker::new(&engine);
        let linked = imports::link(&mut linker).and_then(|()| wasi::link(&mut linker, &info));
        linked.map_err(Error::invalid_module)?;
        Ok(Self {
            shim: Shim::new(&engine, &info)?,
            world: host::world(&info, options)?,
            engine,
            info,
            options: options.clone(),
            configure,
            module,
            start,
            linker,
        })
    }

    /// Instantiates the module.
    pub(crate) fn instantiate(&self, store: &mut Store<Data>) -> Result<wasmi::Instance, wasmi::Error> {
        match self.shim.as_ref().filter(|_| store.data().suspends) {
            Some(shim) => shim.link(&self.linker, store)?.instantiate_and_start(store, &self.module),
            None => self.linker.instantiate_and_start(store, &self.module),
        }
    }

    /// Returns the fuel of each call and of a start, within limits that the host has merged.
    ///
    /// # Errors
    /// Fails if fuel is not priced for these limits.
    pub(crate) fn fuel(&self, limits: &Limits) -> Result<u64> {
        if self.info.code.grows_tables
            && limits.table_elements_or_default()
                > self.options.limits.or(default_limits()).table_elements_or_default()
        {
            let what = "a limit of table elements above the provider's, for a module that grows tables: set it on the \
                        builder, where its fuel is priced";
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        Ok(self.options.fuel(limits))
    }

    /// Refuses a limit of the stack that is not that of the engine, which is fixed when the engine
    /// is made.
    pub(crate) fn check_stack(&self, limits: &Limits) -> Result<()> {
        let defaults = default_limits();
        let stack = self.options.limits.or(defaults).stack_or_default();
        // The process's default gives way to an engine that was set up otherwise.
        let differs = |limit: &u64| *limit != stack && defaults.stack != Some(*limit);
        let Some(limit) = limits.stack.filter(differs) else { return Ok(()) };
        let what = format!(
            "a limit `stack` of {limit} bytes for an engine whose guests have {stack} bytes: set it on the builder of the \
             provider"
        );
        Err(Error::new(ErrorKind::Unsupported, what))
    }

    /// Returns the stack of its guests in bytes; `None` if the caller's settings decide.
    pub(crate) fn stack(&self) -> Option<u64> {
        let limits = &self.options.limits;
        let is_ours = limits.stack.is_some() || self.configure.is_none();
        is_ours.then(|| limits.or(default_limits()).stack_or_default())
    }
}

impl antiphon::provider::Compiled for Compiled {
    type Instance = Instance;

    fn compile(&self, bytes: &[u8]) -> Result<Self> {
        Self::new(bytes, &self.options, self.configure)
    }

    fn limits(&self) -> Limits {
        self.options.provider_limits()
    }

    fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.options.capabilities();
        capabilities.deadline = true;
        capabilities.fuel = true;
        capabilities.memory_limit = true;
        capabilities.stack_limit = true;
        capabilities.suspend = true;
        capabilities
    }

    fn info(&self) -> &ModuleInfo {
        &self.info
    }
}
