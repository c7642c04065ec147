//! What a pool tells of itself: counts, times, metrics and spans.

mod histogram;
mod meters;
mod stats;
mod trace;

pub use histogram::Histogram;
pub(crate) use histogram::Recorder;
pub(crate) use meters::{Meters, Present};
pub(crate) use stats::{Errors, Tally};
pub use stats::{PoolStats, VersionStats};
pub(crate) use trace::CallSpan;
