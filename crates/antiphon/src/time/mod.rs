//! The clock of every deadline, and what it wakes.

pub(crate) mod alarm;
pub(crate) mod deadline;
pub mod ticker;
pub(crate) mod yielding;
