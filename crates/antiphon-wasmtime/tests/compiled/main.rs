//! Guests on Wasmtime. What needs a process for itself is in `alone`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

#[cfg(feature = "cache")]
mod artifact;
#[cfg(feature = "cache")]
mod cache;
mod compiling;
mod drop_in;
mod fuel;
mod isolation;
mod machine;
mod signals;
mod stack;
mod uninterrupted;
mod waking;
