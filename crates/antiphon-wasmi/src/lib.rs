#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod compiled;
mod data;
mod engine;
mod fuel;
mod imports;
mod instance;
mod limiter;
mod shim;
mod trap;
mod wasi;

pub use builder::WasmiEngineProviderBuilder;
/// The engine itself, for `configure`.
pub use wasmi;
#[doc(hidden)]
pub use {compiled::Compiled, instance::Instance};

/// Runs one instance of a guest for a [`WapcHost`](antiphon::WapcHost).
pub type WasmiEngineProvider = antiphon::provider::Provider<Compiled>;
/// Runs one instance of a guest for a [`WapcHostAsync`](antiphon::WapcHostAsync). Guest code yields
/// to the executor at each tick of 5 ms, and releases its thread while it waits for the host.
pub type WasmiEngineProviderAsync = antiphon::provider::ProviderAsync<Compiled>;
