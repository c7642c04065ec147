//! Files of cases: reading, running, updating and reporting them.

mod file;
mod junit;
mod mocks;
mod replace;
mod run;
mod update;

pub(crate) use file::{Case, Cases};
pub(crate) use junit::junit_report;
pub(crate) use replace::{replace, replace_or_create};
pub(crate) use run::{Host, Ran, run_case};
pub(crate) use update::Update;
