//! What users of `wapc` 2.2 and `wasmtime-provider` 2.25 rely on, name by name, and the programs of
//! this folder. The sources run against either side. Where the two differ, `differs!` has both
//! values, and the passage of MIGRATING.md that documents the difference.

mod builder;
mod deadlines;
mod faults;
mod hosts;
mod logs;
mod names;
mod policy_server;
mod provider;
mod resources;
mod service;
mod states;
mod wasi;
mod wrapped;
