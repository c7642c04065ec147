//! What a pool tells of itself: counts, times, metrics and spans.

pub(crate) mod histogram;
pub(crate) mod meters;
pub(crate) mod stats;
pub(crate) mod trace;
