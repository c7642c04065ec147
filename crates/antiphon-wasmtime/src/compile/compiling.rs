//! Compiling a module, when its turn has come.

use std::time::Instant;

use antiphon::errors::Error;
use antiphon::{Limits, ModuleInfo};
use wasmtime::Module;

use super::turns::{self, Turn};
use crate::engine::{Clocked, shortage};
use crate::errors::Result;

/// A module, its info, and the engine that it is on: the given one, or the one beside its pool.
pub(crate) type Loaded = (Module, ModuleInfo, Clocked);

/// Compiles a module in the binary or the text format, when its turn has come. [`ModuleInfo::load`]
/// has priced it before that.
pub(super) fn compile(bytes: &[u8], engine: Clocked, limits: &Limits) -> Result<Loaded> {
    let (bytes, info) = ModuleInfo::load(bytes, limits)?;
    let (turn, _) = turns::turn();
    let (module, engine) = Read { bytes: &bytes, info: &info, limits }.compile(&turn, engine)?;
    Ok((module, info, engine))
}

/// A module that was read, and the limits that hold for it.
pub(super) struct Read<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) info: &'a ModuleInfo,
    pub(super) limits: &'a Limits,
}

impl Read<'_> {
    pub(super) fn compile(self, turn: &Turn<'_>, engine: Clocked) -> Result<(Module, Clocked)> {
        let Self { bytes, info, limits } = self;
        tracing::debug!(target: "antiphon", bytes = bytes.len(), "compiling a module");
        let begun = Instant::now();
        let refused = match turn.compile(|| Module::new(&engine.engine, bytes))? {
            Ok(module) => {
                tracing::debug!(target: "antiphon", time = ?begun.elapsed(), "a module was compiled");
                return Ok((module, engine));
            }
            Err(error) => match shortage(error, "the machine code of a module") {
                Ok(ours) => return Err(ours.never_born().into()),
                Err(refused) => refused,
            },
        };
        // The pool may only lack a place of the kind that this module needs.
        if let Some(pool) = &engine.pool {
            info.needs.check(limits)?;
            if let Some(engine) = pool.on_demand()
                && let Ok(module) = turn.compile(|| Module::new(&engine.engine, bytes))?
            {
                pool.warn(&refused);
                return Ok((module, engine.clone()));
            }
        }
        Err(Error::invalid_module(format_args!("{refused:#}")).into())
    }
}
