//! Without the feature `wasi` there is no world for guests: a module that imports WASI is refused.

use antiphon::errors::Error;
use antiphon::module_info::{ExternKind, Import};
use antiphon::{Conversation, EngineOptions, ModuleInfo};
use wasmtime::Linker;

use crate::instance::data::Data;

/// The world of the guests of a module.
#[derive(Clone)]
pub(in crate::instance) enum World {}

/// What a guest has of its world.
pub(in crate::instance) enum Session {}

pub(in crate::instance) fn world(_: &ModuleInfo, _: &EngineOptions) -> Result<Option<World>, Error> {
    Ok(None)
}

pub(in crate::instance) fn session(world: &World) -> Session {
    match *world {}
}

pub(in crate::instance) fn import_type(_: &Import) -> Option<ExternKind> {
    None
}

pub(in crate::instance) fn link(
    _: &mut Linker<Data>,
    _: &ModuleInfo,
    _: &EngineOptions,
) -> wasmtime::Result<()> {
    Ok(())
}

#[inline]
pub(in crate::instance) fn flush(_: &mut Option<Session>, _: &mut Conversation) -> Result<(), Error> {
    Ok(())
}
