//! Measures Antiphon against hand-written wasmtime or wasmi (the limit) and against the incumbent
//! (`wapc` with `wasmtime-provider`), all in one process and in turns, and its engines against one
//! another. README.md says how to run it and what the numbers mean.

mod abi;
#[cfg(feature = "antiphon")]
pub mod antiphon;
pub mod bars;
pub mod built;
#[cfg(feature = "antiphon")]
pub mod cold;
pub mod echo;
pub mod engine;
#[cfg(feature = "extism")]
pub mod extism;
pub mod fresh;
pub mod guest;
pub mod idle;
pub mod incumbent;
pub mod limit;
pub mod limit_wasmi;
pub mod load;
pub mod loops;
pub mod measure;
mod native;
pub mod pool;
pub mod report;
pub mod table;
pub mod turns;
