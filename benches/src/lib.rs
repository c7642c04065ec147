//! Measures Antiphon against hand-written wasmtime or wasmi (the limit) and against the incumbent
//! (`wapc` with `wasmtime-provider`), all in one process and in turns, and its engines against one
//! another. README.md says how to run it and what the numbers mean.

pub mod built;
pub mod engine;
pub mod guest;
pub mod measure;
pub mod report;
pub mod rivals;
pub mod topics;
