//! The hand-over of instances: the places that they fill, the calls that wait, and the version that
//! serves.
//!
//! `tests/model.rs` compiles the files of this folder over locks and atomics of its own. So they
//! name each other by `super`, and know nothing else of the crate but `crate::sync`.

mod handover;
mod places;
mod state;
mod ticket;

pub(crate) use handover::Queue;
pub(crate) use places::{Bounds, Callers, Held, Serves};
pub(crate) use state::Wanted;
pub(crate) use ticket::{Refusal, Turn};
