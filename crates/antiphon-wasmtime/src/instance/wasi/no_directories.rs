//! Without the feature `wasi-fs` no guest has a directory: the builder refuses to grant any.

use antiphon::EngineOptions;
use antiphon::errors::Error;

use crate::instance::data::Data;

/// The directories of an instance.
pub(in crate::instance) enum Directories {}

pub(in crate::instance) fn open(_: &EngineOptions) -> Result<Option<Directories>, Error> {
    Ok(None)
}

#[cfg(feature = "wasi")]
pub(super) fn link(_: &mut wasmtime::Linker<Data>) -> wasmtime::Result<()> {
    Ok(())
}

pub(in crate::instance) fn flush(_: &mut Data) -> Result<(), Error> {
    Ok(())
}

pub(in crate::instance) fn exit_code(_: &wasmtime::Error) -> Option<i32> {
    None
}
