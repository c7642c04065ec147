//! What an engine runs: the sealed WASI, features of WebAssembly, real guests.

use crate::suite::Case;

mod deterministic;
mod features;
mod guests;
mod module;
mod nan;
mod wasi;

pub(in crate::cases) use deterministic::{CLOCK, SEED, STREAM_OF_ZERO};

/// The topics, each with the cases of one file.
pub(in crate::cases) const TOPICS: &[&[Case]] =
    &[wasi::CASES, features::CASES, deterministic::CASES, nan::CASES, module::CASES, guests::CASES];
