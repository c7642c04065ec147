//! Compiles bytes to a module that is a waPC guest, or reports every reason why they are not.

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Limits, ModuleInfo};
use wasmi::{CompilationMode, Config, Engine, Module};

/// A module that can be instantiated many times.
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

    /// Compiles the result of `change` instead of the module, if it returns one.
    pub(crate) fn changed(
        engine: &Engine,
        bytes: &[u8],
        limits: Limits,
        change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Self, Error> {
        supported(&limits)?;
        // Refuses modules over the size limit, and modules that would be too costly to compile.
        // Text becomes binary.
        let (binary, info) = ModuleInfo::load(bytes, &limits)?;
        // Refuses imports other than waPC's own, such as WASI.
        info.check(|_import| None)?;
        let mut module = compile(engine, &binary)?;
        if let Some(changed) = change(&binary) {
            module = compile(engine, &changed)?;
        }
        Ok(Self { engine: engine.clone(), module, info, limits })
    }
}

/// Refuses options that this engine lacks.
pub(crate) fn supported(limits: &Limits) -> Result<(), Error> {
    match limits.fuel {
        None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::Unsupported, "this engine counts no fuel for its callers")),
    }
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module, Error> {
    Module::new(engine, bytes)
        .map_err(|error| Error::new(ErrorKind::InvalidModule, error.to_string()).with_source(error))
}

/// Returns the WebAssembly features that every Antiphon engine has, no more and no less.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        // Enough for compiled guests. The default of a thousand is too little for recursive
        // programs.
        .set_max_recursion_depth(10_000)
        // Refuse an invalid function now, and not at its first call.
        .compilation_mode(CompilationMode::Eager);
    config
}
