//! Where a module comes from, and what it says about itself.

use antiphon::Limits;
use antiphon::module_info::{Export, ExternKind, Import, ModuleInfo};
use wasmtime::{ExternType, Module, ValType};

use super::cache::Artifact;
use super::compiling::{self, Loaded};
use crate::engine::Clocked;
use crate::errors;
use crate::options::Settings;

/// Where a module comes from.
pub(crate) enum Source<'a> {
    /// The binary or the text format.
    Bytes(&'a [u8]),
    /// A module that the caller compiled, on the engine that was given.
    Module(Module),
    /// A file of sealed code.
    Artifact(Artifact<'a>),
}

impl Source<'_> {
    /// Loads the module. Returns it with its info, and the engine that it is on: the given one, or
    /// the one beside its pool.
    pub(crate) fn load(
        self,
        engine: Clocked,
        settings: &Settings,
        limits: &Limits,
    ) -> errors::Result<Loaded> {
        let deterministic = settings.options.deterministic.is_some();
        match self {
            Self::Module(module) => {
                if !wasmtime::Engine::same(module.engine(), &engine.engine) {
                    let what = "the `module` was compiled by another `engine` than the one given";
                    return Err(errors::Error::BuilderInvalidConfig(what.into()));
                }
                let info = info_of(&module);
                Ok((module, info, engine))
            }
            Self::Artifact(artifact) => artifact.load(engine, limits, deterministic),
            Self::Bytes(bytes) if let Some(cache) = &settings.cache => {
                cache.load_or_compile(bytes, engine, limits, deterministic)
            }
            Self::Bytes(bytes) => compiling::compile(bytes, engine, limits),
        }
    }
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
