//! What users of `wapc` 2.2 and `wasmtime-provider` 2.25 rely on, name by name, and the programs of this folder. One
//! source, run against either; where the two differ, `differs!` says what each does, and where MIGRATING.md says so.

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
