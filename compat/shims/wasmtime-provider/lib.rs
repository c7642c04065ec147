#![doc = "The Wasmtime engine of Antiphon under the name of `wasmtime-provider`."]
pub use antiphon_wasmtime::*;
