//! Programs as users of `wapc` 2.2 and `wasmtime-provider` 2.25 write them. Two packages compile
//! these sources: `compat-incumbent` against those two crates, and `compat-antiphon` against
//! Antiphon under their names.

#![forbid(unsafe_code)]

pub mod guests;
pub mod migration;
pub mod policy_server;
pub mod service;
pub mod sides;
