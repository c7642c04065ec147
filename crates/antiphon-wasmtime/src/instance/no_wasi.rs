//! Without the feature `wasi` there is no world for guests: a module that imports WASI is refused.

use antiphon::errors::Error;
use antiphon::module_info::{ExternKind, Import};
use antiphon::{Conversation, EngineOptions, ModuleInfo};
use wasmtime::Linker;

use super::data::Data;

/// The world of the guests of a module.
#[derive(Clone)]
pub(super) enum World {}

/// What a guest has of its world.
pub(super) enum Session {}

pub(super) fn world(_: &ModuleInfo, _: &EngineOptions) -> Result<Option<World>, Error> {
    Ok(None)
}

pub(super) fn session(world: &World, _: &EngineOptions) -> Result<Session, Error> {
    match *world {}
}

pub(super) fn import_type(_: &Import) -> Option<ExternKind> {
    None
}

pub(super) fn link(_: &mut Linker<Data>, _: &ModuleInfo) -> wasmtime::Result<()> {
    Ok(())
}

#[inline]
pub(super) fn flush(_: &mut Option<Session>, _: &mut Conversation) -> Result<(), Error> {
    Ok(())
}
