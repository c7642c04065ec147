//! Functions between the tail calls of a guest and the imports that suspend it.
//!
//! If an import is tail-called from a function that another function called, wasmi 2.0.0 resumes
//! the guest in the wrong place: the import's result lands in some local of the outer function. So
//! a guest with tail calls gets, for these imports, functions of other instances that call them in
//! the ordinary way.

use antiphon::errors::Error;
use antiphon::wapc_functions::{HOST_CALL, HOST_NAMESPACE};
use antiphon::{Limits, ModuleInfo};
use antiphon_wasi::MODULES;
use wasmi::{Engine, Linker, Module, Store};

use crate::data::Data;

/// A module for each import that suspends. It exports a function under the import's name, which
/// calls the import.
pub(crate) struct Shim(Vec<(&'static str, Module)>);

impl Shim {
    /// Makes the shim of a module, or returns `None` if the module needs none.
    pub(crate) fn new(engine: &Engine, info: &ModuleInfo) -> Result<Option<Self>, Error> {
        let polls = MODULES.map(|(module, _)| (module, "poll_oneoff", 4));
        let mut shims = Vec::new();
        for (module, name, params) in [(HOST_NAMESPACE, HOST_CALL, 8)].into_iter().chain(polls) {
            if info.code.tail_calls && info.import(module, name).is_some() {
                let types = "i32 ".repeat(params);
                let arguments: String = (0..params).map(|index| format!("(local.get {index})")).collect();
                let text = format!(
                    r#"(module (import "{module}" "{name}" (func $import (param {types}) (result i32)))
                        (func (export "{name}") (param {types}) (result i32) (call $import {arguments})))"#
                );
                let (bytes, _) = ModuleInfo::load(text.as_bytes(), &Limits::new())?;
                shims.push((module, Module::new(engine, &bytes).map_err(Error::invalid_module)?));
            }
        }
        Ok(Some(Self(shims)).filter(|shims| !shims.0.is_empty()))
    }

    /// Makes a linker for one instance, in which the shim's functions stand for the imports.
    pub(crate) fn link(
        &self,
        linker: &Linker<Data>,
        store: &mut Store<Data>,
    ) -> Result<Linker<Data>, wasmi::Error> {
        let mut linker = linker.clone();
        linker.allow_shadowing(true);
        for (module, shim) in &self.0 {
            let shim = linker.instantiate_and_start(&mut *store, shim)?;
            linker.instance(&mut *store, module, shim)?;
        }
        Ok(linker)
    }
}
