//! The hand-over of instances: the places that they fill, the calls that wait, and the version that serves.
//!
//! `tests/model.rs` compiles the files of this folder over locks and atomics of its own. So they name each other by
//! `super`, and know nothing else of the crate but `crate::sync`.

pub(crate) mod handover;
pub(crate) mod state;
pub(crate) mod ticket;
