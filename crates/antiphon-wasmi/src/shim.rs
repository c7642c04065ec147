//! What stands between the tail calls of a guest and the imports that suspend it.
//!
//! wasmi 2.0.0 resumes a guest in the wrong place where an import was called in the place of a function that returns to
//! another one: the import's result lands in some local of the latter. So such a guest gets, for these imports, functions
//! of another instance that call them in the ordinary way.

use std::fmt::Write as _;

use antiphon::errors::Error;
use antiphon::module_info::ExternKind;
use antiphon::{Limits, ModuleInfo};
use wasmi::{Engine, Linker, Module, Store};

use crate::compiled::refused;
use crate::data::Data;

/// Functions that call the imports which suspend.
pub(crate) struct Shim {
    module: Module,
    /// Module and name of each; the export of the same number calls it.
    imports: Vec<(String, String)>,
}

impl Shim {
    /// The shim for a module; `None` if it needs none.
    pub(crate) fn new(engine: &Engine, info: &ModuleInfo) -> Result<Option<Self>, Error> {
        let suspends = |name: &str| matches!(name, "__host_call" | "poll_oneoff");
        let mut imports = Vec::new();
        let (mut imported, mut exported) = (String::new(), String::new());
        for import in info.imports.iter().filter(|import| info.code.tail_calls && suspends(&import.name)) {
            let ExternKind::Func(func) = &import.kind else { continue };
            let (module, name, number) = (&import.module, &import.name, imports.len());
            let (params, arguments) = ("i32 ".repeat(func.params.len()), 0..func.params.len());
            let arguments: String = arguments.map(|index| format!("(local.get {index})")).collect();
            let _ = write!(
                imported,
                r#"(import "{module}" "{name}" (func $f{number} (param {params}) (result i32)))"#
            );
            let _ = write!(
                exported,
                r#"(func (export "{number}") (param {params}) (result i32) (call $f{number} {arguments}))"#
            );
            imports.push((module.clone(), name.clone()));
        }
        if imports.is_empty() {
            return Ok(None);
        }
        let text = format!("(module {imported} {exported})");
        let (bytes, _) = ModuleInfo::load(text.as_bytes(), &Limits::new())?;
        let module = Module::new(engine, &bytes).map_err(refused)?;
        Ok(Some(Self { module, imports }))
    }

    /// A linker for one instance, in which the shim's functions stand for the imports.
    pub(crate) fn link(
        &self,
        linker: &Linker<Data>,
        store: &mut Store<Data>,
    ) -> Result<Linker<Data>, wasmi::Error> {
        let shim = linker.instantiate_and_start(&mut *store, &self.module)?;
        let mut linker = linker.clone();
        linker.allow_shadowing(true);
        for (number, (module, name)) in self.imports.iter().enumerate() {
            if let Some(func) = shim.get_export(&*store, &number.to_string()) {
                linker.define(module, name, func)?;
            }
        }
        Ok(linker)
    }
}
