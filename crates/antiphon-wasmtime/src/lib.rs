#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod compile;
mod engine;
pub mod errors;
mod instance;
mod options;
mod provider;
#[cfg(feature = "async")]
mod provider_async;

pub use builder::WasmtimeEngineProviderBuilder;
#[cfg(feature = "cache")]
pub use compile::cache::{ArtifactError, CacheStats, ModuleCache, SealKey};
pub use compile::set_parallel_compilations;
#[doc(hidden)]
pub use instance::{Compiled, Instance};
pub use options::{EpochDeadlines, ResourceLimits};
pub use provider::{WasmtimeEngineProvider, WasmtimeEngineProviderPre};
#[cfg(feature = "async")]
pub use provider_async::{WasmtimeEngineProviderAsync, WasmtimeEngineProviderAsyncPre};
/// The engine itself, for those who bring their own or want this very version.
pub use wasmtime;
#[cfg(feature = "wasi-fs")]
pub use wasmtime_wasi;
