//! Runs the real program on the real guests.

mod call;
mod errors;
#[cfg(unix)]
mod examples;
mod help;
mod host_calls;
mod input;
mod inspect;
mod program;
mod wasi;
