//! Runs the real program as a process.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]
#![allow(clippy::indexing_slicing, clippy::string_slice, reason = "a test that panics is a test that fails")]

mod deploy;
mod operators;
mod page;
mod program;
mod reloading;
mod starting;
mod stopping;
