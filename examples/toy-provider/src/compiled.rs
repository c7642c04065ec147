//! From bytes to a module that is a waPC guest, or to every reason why it is none.

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Limits, ModuleInfo};
use wasmi::{CompilationMode, Config, Engine, Module};

/// A module that may be instantiated any number of times.
pub(crate) struct Compiled {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
    pub(crate) limits: Limits,
}

impl Compiled {
    pub(crate) fn new(engine: &Engine, bytes: &[u8], limits: Limits) -> Result<Self, Error> {
        Self::changed(engine, bytes, limits, |_module| None)
    }

    /// The same, compiled from what `change` makes of the module, if anything.
    pub(crate) fn changed(
        engine: &Engine,
        bytes: &[u8],
        limits: Limits,
        change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Self, Error> {
        supported(&limits)?;
        // Refuses what is over the limit of its size, and what would take up a compiler. Text becomes binary.
        let (binary, info) = ModuleInfo::load(bytes, &limits)?;
        // No import beyond waPC's own: no WASI.
        info.check(|_import| None)?;
        let mut module = compile(engine, &binary)?;
        if let Some(changed) = change(&binary) {
            module = compile(engine, &changed)?;
        }
        Ok(Self { engine: engine.clone(), module, info, limits })
    }
}

/// Refuses the options that this engine does not have.
pub(crate) fn supported(limits: &Limits) -> Result<(), Error> {
    match limits.explicit_fuel() {
        None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::Unsupported, "this engine counts no fuel for its callers")),
    }
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module, Error> {
    Module::new(engine, bytes)
        .map_err(|error| Error::new(ErrorKind::InvalidModule, error.to_string()).with_source(error))
}

/// The WebAssembly that every Antiphon engine runs, no more and no less.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        // As deep as compiled guests go. A thousand, the default, is less than what compilers make of recursive programs.
        .set_max_recursion_depth(10_000)
        // Refuse a bad function now, not when it is first called.
        .compilation_mode(CompilationMode::Eager);
    config
}
