//! Runs the real program on the real guests.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod bench;
mod calls;
mod compare;
#[cfg(feature = "wasmtime")]
mod compile;
mod engines;
mod errors;
// The examples show the output of a build with every engine.
#[cfg(all(unix, feature = "wasmtime", feature = "wasmi"))]
mod examples;
#[cfg(unix)]
mod handover;
mod help;
mod inspect;
#[cfg(all(target_os = "linux", feature = "wasmtime", feature = "wasmi"))]
mod machine;
mod new;
mod program;
mod test;
mod watch;
