//! What it costs an engine to compile a module.

mod function;
mod module;
mod weights;

pub(super) use module::Costs;
