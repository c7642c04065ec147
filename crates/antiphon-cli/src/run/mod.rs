//! What it takes to call a guest: its module, an engine, a payload, and a host.

mod calls;
mod code;
mod engine;
mod host_call;
mod inputs;
mod read;

pub(crate) use calls::Calls;
pub(crate) use code::{Module, already_compiled, with_keys};
pub(crate) use engine::{
    Compiled, Terms, artifact_info, check_code, ensure_available, factory, warn_of_unreached_world,
};
pub(crate) use host_call::Rules;
pub(crate) use inputs::Inputs;
pub(crate) use read::{is_input, read_cases, read_file, read_module};
