//! Decides whether some bytes are a waPC guest, and collects what the module says about itself.

use std::error::Error as StdError;

use antiphon::wapc_functions::INIT_EXPORTS;
use antiphon::{Limits, ModuleInfo};
use antiphon_host::EngineKind;
use antiphon_wasi::host;

use crate::args::CacheArgs;
use crate::run::{self, Compiled};
use crate::terminal::with_spinner;

/// The findings about a module.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// What the module says about itself; `None` if the bytes are not a module.
    pub(crate) info: Option<ModuleInfo>,
    /// Every reason why the module is not a waPC guest; empty for a guest.
    pub(crate) reasons: Vec<String>,
    /// What an artifact was compiled for; `None` for a module.
    pub(crate) compiled: Option<Compiled>,
}

impl Verdict {
    /// Examines a module, in binary or text format, with an engine of this build.
    pub(crate) fn of(module: &[u8], (engine, cache): (EngineKind, &CacheArgs), limits: &Limits) -> Self {
        match ModuleInfo::load(module, limits) {
            Ok((binary, info)) => {
                let mut reasons = info.refusals(host::import_type);
                if reasons.is_empty() {
                    // The imports and exports are right, so the engine checks the code.
                    let checked =
                        with_spinner("checking the module", || run::check_code(engine, cache, &binary));
                    reasons.extend(checked.err().map(|error| with_causes(&error)));
                }
                Self { info: Some(info), reasons, compiled: None }
            }
            Err(error) => Self { info: None, reasons: vec![error.to_string()], compiled: None },
        }
    }

    /// Returns the verdict on a module whose native code an engine has loaded.
    pub(crate) fn compiled((info, compiled): (ModuleInfo, Compiled)) -> Self {
        let reasons = info.refusals(host::import_type);
        Self { info: Some(info), reasons, compiled: Some(compiled) }
    }

    pub(crate) fn is_guest(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Returns the WASI modules that the module imports from.
pub(crate) fn wasi_flavours(info: &ModuleInfo) -> Vec<&'static str> {
    let names = antiphon_wasi::MODULES.into_iter().map(|(name, _)| name);
    names.filter(|name| info.imports_from(&[name])).collect()
}

/// Returns the exports that run when an instance starts, in that order.
pub(crate) fn init_exports(info: &ModuleInfo) -> Vec<&'static str> {
    INIT_EXPORTS.into_iter().filter(|name| info.export(name).is_some()).collect()
}

/// Returns an error and its causes in one text, without repetitions.
fn with_causes(error: &antiphon::errors::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(module: &[u8]) -> Vec<String> {
        Verdict::of(module, (EngineKind::default(), &CacheArgs::none()), &Limits::new()).reasons
    }

    #[test]
    fn every_reason_is_listed() {
        let module = br#"(module (import "env" "sin" (func (param f64) (result f64)))
            (import "wapc" "__console_log" (func (param i32)))
            (memory 1) (func (export "wapc_init") (param i32)))"#;
        assert_eq!(
            reasons(module),
            [
                "import env.sin (func(f64) -> f64) is unknown",
                "import wapc.__console_log has type func(i32), expected func(i32, i32)",
                "memory not exported by wasm module",
                "Guest call function (__guest_call) not exported by wasm module.",
                "export wapc_init is func(i32), expected func()",
            ]
        );
    }

    #[test]
    fn code_that_does_not_validate_is_a_reason_too() {
        let module = br#"(module (memory (export "memory") 1)
            (func (export "__guest_call") (param i32 i32) (result i32) i64.const 1))"#;
        let reasons = reasons(module);
        assert_eq!(reasons.len(), 1);
        assert!(reasons[0].contains("type mismatch"), "{reasons:?}");
    }

    #[test]
    fn a_guest_that_speaks_wasi_is_one() {
        let module = br#"(module
            (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
            (memory (export "memory") 1) (func (export "_initialize"))
            (func (export "__guest_call") (param i32 i32) (result i32) i32.const 1))"#;
        let verdict = Verdict::of(module, (EngineKind::default(), &CacheArgs::none()), &Limits::new());
        assert_eq!(verdict.reasons, Vec::<String>::new());
        let info = verdict.info.unwrap();
        assert_eq!(wasi_flavours(&info), ["wasi_snapshot_preview1"]);
        assert_eq!(init_exports(&info), ["_initialize"]);
    }

    #[test]
    fn what_is_no_module_says_so() {
        for junk in [b"\0asm".as_slice(), b"\0asm\x01\0\0\0\x01", b"hello", b"\xff\xfe", b""] {
            let verdict = Verdict::of(junk, (EngineKind::default(), &CacheArgs::none()), &Limits::new());
            assert_eq!(verdict.reasons.len(), 1, "{junk:?}");
            assert!(verdict.info.is_none(), "{verdict:?}");
        }
    }
}
