//! Checks whether a module is a waPC guest that an engine can run.

use antiphon_protocol::names as wapc;

use super::info::{ExternKind, Import, ModuleInfo};
use super::unknown::Unknown;
use crate::errors::{Error, ErrorKind, Result};

/// The most bytes of refused imports that are listed: a hostile module may have a hundred thousand
/// with long names.
const MAX_TEXT: usize = 16 * 1024;

impl ModuleInfo {
    /// Returns every reason why this is no waPC guest; the list is empty for a guest. `known` gives
    /// the types of the imports that the engine serves beyond waPC's own, `env.abort` and
    /// `env.trace`, such as WASI's.
    #[must_use]
    pub fn refusals(&self, known: impl Fn(&Import) -> Option<ExternKind>) -> Vec<String> {
        let expected = |import: &Import| wapc_import(&import.module, &import.name).or_else(|| known(import));
        let unknown = Unknown::of(self.imports.iter().filter(|import| expected(import).is_none()));
        let imports = self.imports.iter().filter_map(|import| {
            let Import { module, name, kind } = import;
            match expected(import) {
                None => unknown.refusal(import),
                Some(expected) if expected != *kind => {
                    Some(format!("import {module}.{name} has type {kind}, expected {expected}"))
                }
                Some(_) => None,
            }
        });
        let mut room = MAX_TEXT;
        let mut listed = Vec::new();
        let mut left_out = 0_usize;
        for refusal in imports {
            match room.checked_sub(refusal.len()) {
                Some(rest) if left_out == 0 => {
                    room = rest;
                    listed.push(refusal);
                }
                _ => left_out = left_out.saturating_add(1),
            }
        }
        if left_out > 0 {
            listed.push(format!("and {left_out} more imports"));
        }
        listed.extend(unknown.hint().map(str::to_owned));
        listed.extend(self.refused_exports());
        listed
    }

    /// Checks whether this is a waPC guest. The error lists every reason of
    /// [`refusals`](Self::refusals).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`]: the module is no waPC guest.
    pub fn check(&self, known: impl Fn(&Import) -> Option<ExternKind>) -> Result<()> {
        let refusals = self.refusals(known);
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::InvalidModule, refusals.join("; ")))
        }
    }

    fn refused_exports(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        match self.export(wapc::MEMORY) {
            Some(ExternKind::Memory { .. }) => {}
            Some(other) => refusals.push(format!("export memory is {other}, expected a memory")),
            None => refusals.push("memory not exported by wasm module".to_owned()),
        }
        let guest_call = func(&["i32", "i32"], &["i32"]);
        match self.export(wapc::GUEST_CALL) {
            Some(kind) if *kind == guest_call => {}
            Some(other) => refusals.push(format!("export __guest_call is {other}, expected {guest_call}")),
            // Users of wasmtime-provider match on this text.
            None => {
                refusals.push("Guest call function (__guest_call) not exported by wasm module.".to_owned())
            }
        }
        for init in wapc::INIT_EXPORTS {
            match self.export(init) {
                Some(kind) if *kind != func(&[], &[]) => {
                    refusals.push(format!("export {init} is {kind}, expected func()"));
                }
                Some(_) | None => {}
            }
        }
        refusals
    }
}

/// Returns the type of an import of waPC, or of AssemblyScript's abort and trace.
fn wapc_import(module: &str, name: &str) -> Option<ExternKind> {
    let i32s = |params: usize, results: usize| func(&vec!["i32"; params], &vec!["i32"; results]);
    Some(match (module, name) {
        (wapc::HOST_NAMESPACE, wapc::HOST_CALL) => i32s(8, 1),
        (
            wapc::HOST_NAMESPACE,
            wapc::GUEST_REQUEST_FN | wapc::GUEST_RESPONSE_FN | wapc::GUEST_ERROR_FN | wapc::HOST_CONSOLE_LOG,
        ) => i32s(2, 0),
        (wapc::HOST_NAMESPACE, wapc::HOST_RESPONSE_FN | wapc::HOST_ERROR_FN) => i32s(1, 0),
        (wapc::HOST_NAMESPACE, wapc::HOST_RESPONSE_LEN_FN | wapc::HOST_ERROR_LEN_FN) => i32s(0, 1),
        (wapc::ABORT_NAMESPACE, wapc::ABORT_FN) => i32s(4, 0),
        (wapc::ABORT_NAMESPACE, wapc::TRACE_FN) => {
            func(&["i32", "i32", "f64", "f64", "f64", "f64", "f64"], &[])
        }
        _ => return None,
    })
}

/// Returns the type of a function.
fn func(params: &[&str], results: &[&str]) -> ExternKind {
    ExternKind::func(params, results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::info::Export;

    #[test]
    fn one_error_lists_everything_that_is_missing_or_mistyped() {
        let info = ModuleInfo {
            imports: vec![
                Import::new("wapc", "__host_call", func(&["i32"], &[])),
                Import::new("env", "sin", func(&["f64"], &["f64"])),
                Import::new("wapc", "__console_log", func(&["i32", "i32"], &[])),
            ],
            exports: vec![Export::new("wapc_init", ExternKind::Global)],
            ..ModuleInfo::default()
        };
        let error = info.check(|_| None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        assert_eq!(
            error.message().split("; ").collect::<Vec<_>>(),
            [
                "import wapc.__host_call has type func(i32), expected func(i32, i32, i32, i32, i32, i32, i32, i32) -> i32",
                "import env.sin (func(f64) -> f64) is unknown",
                "memory not exported by wasm module",
                "Guest call function (__guest_call) not exported by wasm module.",
                "export wapc_init is global, expected func()",
            ]
        );
    }

    #[test]
    fn many_unknown_imports_of_one_module_are_one_reason_at_the_place_of_the_first() {
        let mut imports = vec![Import::new("env", "sin", func(&[], &[]))];
        imports.extend((0..60).map(|n| Import::new("wbg", format!("__wbg_f{n}"), func(&[], &[]))));
        imports.push(Import::new("env", "cos", func(&[], &[])));
        let refusals = ModuleInfo { imports, ..ModuleInfo::default() }.refusals(|_| None);
        assert_eq!(
            refusals[..3],
            [
                "import env.sin (func()) is unknown",
                "60 imports of wbg are unknown: wbg.__wbg_f0, wbg.__wbg_f1, wbg.__wbg_f2 and 57 more imports",
                "import env.cos (func()) is unknown",
            ]
        );
        assert!(refusals[3].starts_with("the module was made for wasm-bindgen"), "{refusals:?}");
        assert_eq!(refusals.len(), 6, "two exports are missing: {refusals:?}");
    }

    #[test]
    fn a_guest_with_imports_of_the_engine_is_accepted() {
        let info = ModuleInfo {
            imports: vec![Import::new("wasi_snapshot_preview1", "sched_yield", func(&[], &["i32"]))],
            exports: vec![
                Export::new("memory", ExternKind::Memory { minimum: 1, maximum: None }),
                Export::new("__guest_call", func(&["i32", "i32"], &["i32"])),
            ],
            ..ModuleInfo::default()
        };
        assert_eq!(info.refusals(|_| Some(func(&[], &["i32"]))), Vec::<String>::new());
        let refusals = info.refusals(|_| None);
        assert_eq!(refusals.len(), 2);
        assert_eq!(refusals[0], "import wasi_snapshot_preview1.sched_yield (func() -> i32) is unknown");
        assert!(refusals[1].contains("`wasi(false)`"), "{refusals:?}");
    }
}
