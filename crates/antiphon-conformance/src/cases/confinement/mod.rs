//! What a guest may take up, and how a call ends that takes more.

use crate::suite::Case;

mod cancel;
mod deadline;
mod exceeded;
mod fuel;
mod isolation;
mod limits;

pub(crate) use deadline::SPIN;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] =
    &[deadline::CASES, limits::CASES, isolation::CASES, exceeded::CASES, fuel::CASES, cancel::CASES];
