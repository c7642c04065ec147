//! Without the feature `async` there are no asynchronous hosts, and no guest is left where it waits
//! for its host.

use antiphon::Conversation;
use wasmtime::{InstancePre, Linker, Module, Result};

use super::How;
use super::compiled::Compiled;
use super::data::Data;

pub(super) fn form(
    _: &mut Linker<Data>,
    _: &Module,
    straight: &InstancePre<Data>,
) -> Result<InstancePre<Data>> {
    Ok(straight.clone())
}

pub(super) fn how(_: &Compiled, _: &Conversation) -> How {
    How::STRAIGHT
}
