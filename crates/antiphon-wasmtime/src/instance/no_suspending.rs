//! Without the feature `async` there are no asynchronous hosts, and no guest is left where it waits
//! for its host.

use antiphon::{Conversation, EngineOptions};
use wasmtime::{InstancePre, Linker, Module, Result};

use super::How;
use super::compiled::Compiled;
use super::data::Data;

pub(super) fn form(
    _: &mut Linker<Data>,
    _: &Module,
    _: &EngineOptions,
    straight: &InstancePre<Data>,
) -> Result<InstancePre<Data>> {
    Ok(straight.clone())
}

pub(super) fn how(compiled: &Compiled, _: &Conversation) -> How {
    How::of_sync(compiled)
}
