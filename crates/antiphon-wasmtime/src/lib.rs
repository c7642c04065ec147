#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod compiled;
mod data;
mod engine;
pub mod errors;
mod imports;
mod instance;
mod limiter;
mod linked;
mod machine;
mod native;
mod options;
mod pooling;
mod provider;
#[cfg(feature = "async")]
mod provider_async;
mod stack;
mod ticks;
mod trap;
#[cfg(feature = "wasi")]
mod wasi;
#[cfg(feature = "wasi-fs")]
mod wasi_fs;

pub use builder::WasmtimeEngineProviderBuilder;
#[doc(hidden)]
pub use compiled::Compiled;
#[doc(hidden)]
pub use instance::Instance;
pub use options::{EpochDeadlines, ResourceLimits};
pub use provider::{WasmtimeEngineProvider, WasmtimeEngineProviderPre};
#[cfg(feature = "async")]
pub use provider_async::{WasmtimeEngineProviderAsync, WasmtimeEngineProviderAsyncPre};
/// The engine itself, for those who bring their own or want this very version.
pub use wasmtime;
#[cfg(feature = "wasi-fs")]
pub use wasmtime_wasi;
