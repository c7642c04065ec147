//! Runs the real program on the real guests.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod call;
mod compare;
mod engines;
mod errors;
#[cfg(unix)]
mod examples;
mod help;
mod host_calls;
mod input;
mod inspect;
mod program;
mod wasi;
