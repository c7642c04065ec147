//! One module with the settings of its guests: what every instance of either mode is made from.

use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::module_info::{Export, ExternKind, Import, ModuleInfo};
use antiphon::{Capabilities, Conversation, Limits, WasiParams, block_on};
use wasmi::{Config, Engine, ExternType, Linker, Module, Store, ValType};

use crate::data::Data;
use crate::engine::Metered;
use crate::instance::{Instance, Way};
use crate::{imports, start};

/// What the builder was told about the guests of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) engine: Option<Engine>,
    pub(crate) configure: Option<fn(&mut Config)>,
    pub(crate) limits: Limits,
    pub(crate) wasi: bool,
    pub(crate) wasi_params: WasiParams,
    pub(crate) cooperative: bool,
    pub(crate) deterministic: Option<(u64, Duration)>,
}

/// A module that is ready to be instantiated, in either mode.
pub struct Compiled {
    pub(crate) engine: Metered,
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

/// Where a module comes from.
pub(crate) enum Source<'a> {
    /// The binary or the text format.
    Bytes(&'a [u8]),
    /// Translated by the caller, on an engine of the caller's.
    Module(Module),
}

impl Compiled {
    pub(crate) fn new(source: Source<'_>, settings: Settings) -> Result<Self> {
        let (engine, module, info, start) = match source {
            Source::Bytes(bytes) => {
                let (bytes, info) = ModuleInfo::load(bytes, &settings.limits)?;
                let engine = match &settings.engine {
                    Some(engine) => Metered::given(engine)?,
                    None => Metered::new(&info.code, &settings)?,
                };
                let exported = start::export(&bytes, &info);
                let bytes = exported.as_ref().map_or(&*bytes, |(rewritten, _)| rewritten);
                let module = Module::new(&engine.engine, bytes).map_err(refused)?;
                let start = exported.map(|(_, name)| name);
                if start.as_ref().is_some_and(|name| !is_start(module.get_export(name))) {
                    let what = "not a valid WebAssembly module: invalid start function type";
                    return Err(Error::new(ErrorKind::InvalidModule, what));
                }
                (engine, module, info, start)
            }
            Source::Module(module) => {
                let info = info_of(&module);
                (Metered::given(module.engine())?, module, info, None)
            }
        };
        let limits = reported_limits(&engine, &settings)?;
        info.check(|import| known_import(import, settings.wasi))?;
        info.needs.check(&limits)?;

        let mut linker = Linker::new(&engine.engine);
        imports::link(&mut linker).map_err(refused)?;
        #[cfg(feature = "wasi")]
        let world = crate::wasi::link(&mut linker, &info, &settings)?;
        Ok(Self {
            #[cfg(feature = "async")]
            shim: crate::shim::Shim::new(&engine.engine, &info)?,
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
    pub(crate) fn fuel(&self, limits: &Limits) -> u64 {
        let default =
            if self.settings.deterministic.is_some() { Limits::DETERMINISTIC_FUEL } else { u64::MAX };
        limits.explicit_fuel().unwrap_or(default)
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
        Self::new(Source::Bytes(bytes), self.settings.clone())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.deadline = self.engine.fuel;
        capabilities.fuel = self.engine.fuel;
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
    export
        .as_ref()
        .and_then(ExternType::func)
        .is_some_and(|func| func.params().is_empty() && func.results().is_empty())
}

pub(crate) fn refused(error: wasmi::Error) -> Error {
    let text = format!("not a valid WebAssembly module: {:.4000}", error.to_string());
    Error::new(ErrorKind::InvalidModule, text)
}

/// The limits that the provider brings: what was set, and no default deadline where none can be kept.
fn reported_limits(engine: &Metered, settings: &Settings) -> Result<Limits> {
    let mut limits = settings.limits;
    if !engine.fuel || settings.deterministic.is_some() {
        limits = limits
            .with_deadline(limits.explicit_deadline().unwrap_or(Duration::MAX))
            .with_init_deadline(limits.explicit_init_deadline().unwrap_or(Duration::MAX));
    }
    if !engine.fuel {
        engine.check(&limits)?;
        static WARNED: std::sync::Once = std::sync::Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                target: "antiphon",
                "the given engine does not count fuel: guests on it run without a deadline"
            );
        });
    }
    Ok(limits)
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

/// What a translated module still says about itself.
fn info_of(module: &Module) -> ModuleInfo {
    let mut info = ModuleInfo::default();
    // It may have them.
    info.code.tail_calls = true;
    info.imports = module
        .imports()
        .map(|import| Import::new(import.module(), import.name(), kind_of(import.ty())))
        .collect();
    info.exports = module.exports().map(|export| Export::new(export.name(), kind_of(export.ty()))).collect();
    info
}

fn kind_of(ty: &ExternType) -> ExternKind {
    match ty {
        ExternType::Func(func) => {
            let names = |types: &[ValType]| types.iter().map(name_of).collect::<Vec<_>>();
            ExternKind::func(&names(func.params()), &names(func.results()))
        }
        ExternType::Memory(memory) => {
            ExternKind::Memory { minimum: memory.minimum(), maximum: memory.maximum() }
        }
        ExternType::Table(table) => ExternKind::Table { minimum: table.minimum(), maximum: table.maximum() },
        ExternType::Global(_) => ExternKind::Global,
    }
}

fn name_of(ty: &ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "v128",
        ValType::FuncRef => "funcref",
        ValType::ExternRef => "externref",
    }
}
