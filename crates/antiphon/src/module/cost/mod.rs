//! What it costs an engine to compile a module.

pub(crate) mod function;
pub(crate) mod module;
pub(crate) mod weights;
