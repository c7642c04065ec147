//! A module on one engine, with its imports and exports resolved. Instances are made from it.
//!
//! There is one linker and two pre-instantiated modules. In the first, every import is a
//! synchronous function. For guests that may have to wait, `__host_call` and `poll_oneoff` are
//! redefined as asynchronous functions over the same linker. An instance uses that second form only
//! if its host's handler can suspend, because a store that has it can never run straight again.

use antiphon::errors::{Error, ErrorKind};
use antiphon::module_info::ModuleInfo;
use antiphon::wapc_functions as wapc;
use wasmtime::{ExternType, InstancePre, Linker, Module, ModuleExport};

use super::data::Data;
use super::{imports, suspending, wasi};
use crate::engine::Clocked;
use crate::{compile, errors};

/// A module on one engine, in the forms that it is instantiated in.
#[derive(Clone)]
pub(super) struct Linked {
    pub(super) engine: Clocked,
    /// The form whose imports are all synchronous functions.
    straight: InstancePre<Data>,
    /// The form whose waiting imports suspend the guest. It equals `straight` if the module has no
    /// such import.
    suspending: InstancePre<Data>,
    pub(super) exports: Exports,
}

/// Where a module's exports are. Looking an export up by its name in each instance costs a fifth of
/// a microsecond.
#[derive(Clone)]
pub(super) struct Exports {
    pub(super) memory: Option<ModuleExport>,
    /// The init exports that the module has, with their names, in the order of their calls.
    pub(super) init: Vec<(&'static str, ModuleExport)>,
    pub(super) guest_call: ModuleExport,
}

impl Exports {
    fn of(module: &Module) -> Result<Self, Error> {
        let nullary = |name: &&'static str| match module.get_export(name) {
            Some(ExternType::Func(func)) => func.params().len() + func.results().len() == 0,
            _ => false,
        };
        let export = |name: &'static str| Some((name, module.get_export_index(name)?));
        Ok(Self {
            memory: module.get_export_index(wapc::MEMORY),
            init: wapc::INIT_EXPORTS.into_iter().filter(nullary).filter_map(export).collect(),
            guest_call: module.get_export_index(wapc::GUEST_CALL).ok_or_else(|| {
                Error::new(ErrorKind::InvalidModule, format!("no export `{}`", wapc::GUEST_CALL))
            })?,
        })
    }
}

impl Linked {
    pub(super) fn new(engine: Clocked, module: &Module, info: &ModuleInfo) -> errors::Result<Self> {
        let mut linker = Linker::new(&engine.engine);
        imports::link(&mut linker)?;
        wasi::link(&mut linker, info)?;
        let straight = linker.instantiate_pre(module)?;
        let suspending = suspending::form(&mut linker, module, &straight)?;
        Ok(Self { engine, straight, suspending, exports: Exports::of(module)? })
    }

    /// Returns this code on the engine that makes instances on demand beside the pool.
    pub(super) fn on_demand(&self, info: &ModuleInfo) -> errors::Result<Self> {
        let pool = self.engine.pool.as_ref();
        let engine = pool.and_then(|pool| pool.on_demand()).ok_or_else(|| {
            Error::new(ErrorKind::Engine, "the engine that takes over from a pool cannot be made")
        })?;
        let module = compile::copy(self.module(), &engine.engine)?;
        Self::new(engine.clone(), &module, info)
    }

    /// Returns the module, on its engine.
    pub(super) fn module(&self) -> &Module {
        self.straight.module()
    }

    /// Returns the form that instances are made from; `suspends` says whether the imports may
    /// suspend the guest.
    pub(super) fn form(&self, suspends: bool) -> &InstancePre<Data> {
        if suspends { &self.suspending } else { &self.straight }
    }
}
