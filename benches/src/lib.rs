//! Antiphon measured against hand-written wasmtime (the limit) and against the incumbent (`wapc` with
//! `wasmtime-provider`), all in one process and in turns. README.md says how to run it and what the numbers
//! mean.

#[cfg(feature = "antiphon")]
pub mod antiphon;
pub mod guest;
pub mod incumbent;
pub mod limit;
pub mod measure;
pub mod report;
