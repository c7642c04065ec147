//! What a host does with many callers, with other hosts, on any executor.

use crate::suite::Case;

mod concurrency;
mod drops;
mod executor;
mod reentrancy;
mod replace;
mod router;

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] =
    &[concurrency::CASES, drops::CASES, reentrancy::CASES, router::CASES, executor::CASES, replace::CASES];
