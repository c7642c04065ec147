//! Guests on Wasmtime. What needs a process for itself is in `alone`.

#[cfg(feature = "cache")]
mod artifact;
#[cfg(feature = "cache")]
mod cache;
mod compiling;
#[cfg(feature = "wasi-fs")]
mod directories;
mod drop_in;
mod fuel;
mod isolation;
mod stack;
mod uninterrupted;
mod waking;
