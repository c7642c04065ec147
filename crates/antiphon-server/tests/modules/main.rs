//! Modules as operators and callers meet them: files, deploys, canaries, quarantine, restarts.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod canaries;
mod crashes;
mod files;
mod grants;
mod guests;
mod many;
mod operators;
mod path;
mod starts;
mod support;
