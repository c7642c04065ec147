//! The cases, a file for each topic. A case is a function; its guest is WebAssembly text beside it.

use crate::case::Case;

mod bounds;
mod cancel;
mod concurrency;
mod deadline;
mod executor;
mod features;
mod guests;
mod host_call;
mod init;
mod limits;
mod log;
mod module;
mod outcome;
mod reentrancy;
mod replace;
mod trap;
mod wasi;

/// Every case, topic by topic.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [
        outcome::CASES,
        bounds::CASES,
        host_call::CASES,
        log::CASES,
        trap::CASES,
        init::CASES,
        deadline::CASES,
        limits::CASES,
        cancel::CASES,
        concurrency::CASES,
        reentrancy::CASES,
        executor::CASES,
        replace::CASES,
        wasi::CASES,
        features::CASES,
        module::CASES,
        guests::CASES,
    ]
    .into_iter()
    .flatten()
}
