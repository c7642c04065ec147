//! Measuring: callers of a pool, what they find, and the report.

pub(crate) mod callers;
pub(crate) mod interrupt;
pub(crate) mod latency;
pub(crate) mod report;
pub(crate) mod resident;
pub(crate) mod subject;
pub(crate) mod tally;
