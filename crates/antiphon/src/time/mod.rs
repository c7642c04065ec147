//! The clock of every deadline, and what it wakes.

mod alarm;
mod deadline;
pub(crate) mod ticker;
mod yielding;

pub(crate) use alarm::Alarm;
pub(crate) use deadline::Deadline;
pub use yielding::Yield;
