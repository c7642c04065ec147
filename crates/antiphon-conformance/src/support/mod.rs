//! What cases and load have in common, and what knows neither: expectations, bounds, handlers,
//! measurements.

mod bounded;
mod expect;
mod handler;
mod latencies;
mod lock;
mod others;
mod process;
mod runtime;
pub(crate) mod wat;
pub(crate) mod workers;

pub(crate) use bounded::Bound;
pub(crate) use expect::{DEADLINE_TEXT, Failure, cause, deadline_in, says, slack, soon, took};
pub(crate) use handler::{Answer, Handler, Said, panic_quietly};
pub(crate) use latencies::{Latencies, Milliseconds};
pub(crate) use lock::{lock, unpoisoned};
pub(crate) use others::Others;
pub(crate) use process::Process;
pub(crate) use runtime::{runtime, timed};
