#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cache")]
mod artifact;
mod builder;
#[cfg(feature = "cache")]
mod cache;
mod compiled;
mod compiling;
mod data;
#[cfg(feature = "cache")]
mod digest;
mod engine;
#[cfg(feature = "cache")]
mod environment;
pub mod errors;
mod imports;
mod instance;
#[cfg(feature = "cache")]
mod key;
mod limiter;
mod linked;
mod loading;
mod machine;
mod native;
mod options;
mod pooling;
#[cfg(feature = "cache")]
mod private;
mod provider;
#[cfg(feature = "async")]
mod provider_async;
#[cfg(any(feature = "async", feature = "wasi-fs"))]
mod resident;
#[cfg(feature = "cache")]
mod shelf;
mod stack;
mod ticks;
mod trap;
#[cfg(feature = "wasi")]
mod wasi;
#[cfg(feature = "wasi-fs")]
mod wasi_fs;

#[cfg(feature = "cache")]
pub use artifact::ArtifactError;
pub use builder::WasmtimeEngineProviderBuilder;
#[cfg(feature = "cache")]
pub use cache::{CacheStats, ModuleCache};
#[doc(hidden)]
pub use compiled::Compiled;
pub use compiling::set_parallel_compilations;
#[doc(hidden)]
pub use instance::Instance;
#[cfg(feature = "cache")]
pub use key::SealKey;
pub use options::{EpochDeadlines, ResourceLimits};
pub use provider::{WasmtimeEngineProvider, WasmtimeEngineProviderPre};
#[cfg(feature = "async")]
pub use provider_async::{WasmtimeEngineProviderAsync, WasmtimeEngineProviderAsyncPre};
/// The engine itself, for programs that bring their own engine or need this exact version.
pub use wasmtime;
#[cfg(feature = "wasi-fs")]
pub use wasmtime_wasi;
