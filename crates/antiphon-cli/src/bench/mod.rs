//! Measuring: callers of a pool, what they find, and the report.

mod callers;
mod interrupt;
mod latency;
mod report;
mod resident;
mod subject;
mod tally;

pub(crate) use interrupt::{Interrupt, end_interrupted};
pub(crate) use latency::{Latency, per_second, short_time};
pub(crate) use report::{Seen, report_as_json, report_as_text};
pub(crate) use resident::{PeakMemory, resident_memory};
pub(crate) use subject::{Setting, Subject};
pub(crate) use tally::Tally;
