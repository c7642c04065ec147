//! What engines of `wapc` 2.x's shape know of their host.

pub mod functions;
pub(crate) mod invocation;
pub(crate) mod module_state;
