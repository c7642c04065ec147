//! One module with the settings of its guests: what every instance of either mode is made from.

use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::module_info::{ExternKind, Import, ModuleInfo};
use antiphon::{Capabilities, Conversation, Limits, WasiParams, block_on};
use wasmi::{Config, Engine, ExternType, Linker, Module, Store};

use crate::data::Data;
use crate::instance::{Instance, Way};
use crate::{engine, imports};

/// What the builder was told about the guests of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) configure: Option<fn(&mut Config)>,
    pub(crate) limits: Limits,
    pub(crate) wasi: bool,
    pub(crate) wasi_params: WasiParams,
    pub(crate) cooperative: bool,
    pub(crate) deterministic: Option<(u64, Duration)>,
}

/// A module that is ready to be instantiated, in either mode.
pub struct Compiled {
    pub(crate) engine: Engine,
    pub(crate) info: ModuleInfo,
    settings: Settings,
    /// The limits that the host is told about.
    pub(crate) limits: Limits,
    module: Module,
    /// The export that its start section was made.
    pub(crate) start: Option<String>,
    linker: Linker<Data>,
    #[cfg(feature = "async")]
    shim: Option<crate::shim::Shim>,
    #[cfg(feature = "wasi")]
    pub(crate) world: Option<antiphon_wasi::World>,
}

impl Compiled {
    pub(crate) fn new(bytes: &[u8], settings: Settings) -> Result<Self> {
        let mut limits = settings.limits;
        let (bytes, info) = ModuleInfo::load(bytes, &limits)?;
        info.check(|import| known_import(import, settings.wasi))?;
        info.needs.check(&limits)?;
        if settings.deterministic.is_some() {
            let explicit = |deadline: Option<Duration>| deadline.unwrap_or(Duration::MAX);
            limits = limits.with_deadline(explicit(limits.explicit_deadline()));
            limits = limits.with_init_deadline(explicit(limits.explicit_init_deadline()));
        }

        let engine = engine::new(&info.code, &settings);
        let (bytes, start) = match info.export_start(&bytes) {
            Some((bytes, name)) => (bytes.into(), Some(name)),
            None => (bytes, None),
        };
        let module = Module::new(&engine, &bytes).map_err(refused)?;
        if start.as_ref().is_some_and(|name| !is_start(module.get_export(name))) {
            return Err(refused("invalid start function type"));
        }
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker).map_err(refused)?;
        #[cfg(feature = "wasi")]
        let world = crate::wasi::link(&mut linker, &info, &settings)?;
        Ok(Self {
            #[cfg(feature = "async")]
            shim: crate::shim::Shim::new(&engine, &info)?,
            engine,
            info,
            settings,
            limits,
            module,
            start,
            linker,
            #[cfg(feature = "wasi")]
            world,
        })
    }

    /// Instantiates the module; `suspends` says whether it may be left and resumed.
    pub(crate) fn instantiate(
        &self,
        store: &mut Store<Data>,
        suspends: bool,
    ) -> Result<wasmi::Instance, wasmi::Error> {
        #[cfg(feature = "async")]
        if let Some(shim) = self.shim.as_ref().filter(|_| suspends) {
            return shim.link(&self.linker, store)?.instantiate_and_start(store, &self.module);
        }
        let _ = suspends;
        self.linker.instantiate_and_start(store, &self.module)
    }

    /// The fuel of each call and of a start, within limits that the host has merged.
    ///
    /// # Errors
    /// Fuel is not priced for those limits.
    pub(crate) fn fuel(&self, limits: &Limits) -> Result<u64> {
        if self.info.code.grows_tables && limits.table_elements() > self.settings.limits.table_elements() {
            let what = "a limit of table elements above the provider's, for a module that grows tables: set it on the \
                        builder, where its fuel is priced";
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let default =
            if self.settings.deterministic.is_some() { Limits::DETERMINISTIC_FUEL } else { u64::MAX };
        Ok(limits.explicit_fuel().unwrap_or(default))
    }
}

impl antiphon::provider::Compiled for Compiled {
    type Instance = Instance;

    fn start(&self, conversation: &mut Box<Conversation>, spare: Box<Conversation>) -> Result<Instance> {
        block_on(Instance::start(self, conversation, spare, Way { suspends: false, yields: false }))
    }

    #[cfg(feature = "async")]
    async fn start_async(
        &self,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
    ) -> Result<Instance> {
        let way = Way { suspends: true, yields: self.settings.cooperative };
        Instance::start(self, conversation, spare, way).await
    }

    fn compile(&self, bytes: &[u8]) -> Result<Self> {
        Self::new(bytes, self.settings.clone())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.deadline = true;
        capabilities.fuel = true;
        capabilities.deterministic = self.settings.deterministic.is_some();
        capabilities.memory_limit = true;
        capabilities.stack_limit = true;
        capabilities.suspend = cfg!(feature = "async");
        capabilities.wasi = cfg!(feature = "wasi") && self.settings.wasi;
        capabilities
    }

    fn info(&self) -> &ModuleInfo {
        &self.info
    }
}

/// Whether an export can be a start function: it takes and returns nothing.
fn is_start(export: Option<ExternType>) -> bool {
    let func = export.as_ref().and_then(ExternType::func);
    func.is_some_and(|func| func.params().is_empty() && func.results().is_empty())
}

pub(crate) fn refused(error: impl ToString) -> Error {
    let text = format!("not a valid WebAssembly module: {:.4000}", error.to_string());
    Error::new(ErrorKind::InvalidModule, text)
}

/// The imports that are served beyond waPC's own.
fn known_import(import: &Import, wasi: bool) -> Option<ExternKind> {
    #[cfg(feature = "wasi")]
    if wasi {
        return antiphon_wasi::host::import_type(import);
    }
    let _ = (import, wasi);
    None
}
