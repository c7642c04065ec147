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
        let (size, limit) = (bytes.len(), limits.module());
        if u64::try_from(size).is_ok_and(|size| size > limit) {
            let what = format!("the module has {size} bytes, over the limit of {limit}");
            return Err(Error::new(ErrorKind::InvalidModule, what));
        }
        // Refuses what would take up a compiler, too.
        let info = ModuleInfo::parse(bytes)?;
        // No import beyond waPC's own: no WASI.
        info.check(|_import| None)?;
        Ok(Self { engine: engine.clone(), module: compile(engine, bytes)?, info, limits })
    }
}

pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module, Error> {
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
