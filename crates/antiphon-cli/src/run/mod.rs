//! What it takes to call a guest: its module, an engine, a payload, and a host.

pub(crate) mod calls;
pub(crate) mod code;
pub(crate) mod engine;
pub(crate) mod host_call;
pub(crate) mod inputs;
pub(crate) mod read;
