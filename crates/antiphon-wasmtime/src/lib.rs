//! The [Wasmtime](https://wasmtime.dev) engine for [Antiphon](antiphon): waPC guests as native
//! code.
//!
//! A *provider* runs one instance of a guest for one host. [`WasmtimeEngineProviderBuilder`]
//! compiles a module and makes providers of it; a host takes a provider and calls the guest.
//!
//! ```
//! use antiphon::{Limits, WapcHost};
//! use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
//!
//! // Answers each call with its request.
//! let echo = br#"(module
//!   (import "wapc" "__guest_request" (func $request (param i32 i32)))
//!   (import "wapc" "__guest_response" (func $response (param i32 i32)))
//!   (memory (export "memory") 1)
//!   (func (export "__guest_call") (param $operation i32) (param $request i32) (result i32)
//!     (call $request (i32.const 0) (i32.const 1024))
//!     (call $response (i32.const 1024) (local.get $request))
//!     (i32.const 1)))"#;
//!
//! let provider = WasmtimeEngineProviderBuilder::new()
//!     .module_bytes(echo)
//!     .limits(Limits::new().memory(8 << 20))
//!     .build()?;
//! let host = WapcHost::new(Box::new(provider), None)?;
//! assert_eq!(host.call("echo", b"hello")?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # Which method for which job
//!
//! | to get | call |
//! |---|---|
//! | the provider of a `WapcHost` | [`build`](WasmtimeEngineProviderBuilder::build) |
//! | the provider of a `WapcHostAsync` | `build_async` (feature `async`) |
//! | many instances of one module: pools, replaced modules | [`factory`](WasmtimeEngineProviderBuilder::factory) |
//! | native code in a file of your own | `write_artifact`, then `artifact` (feature `cache`) |
//! | native code kept from one process to the next | `cache` with a `ModuleCache` (feature `cache`) |
//! | deadlines in epoch ticks, as in wapc 2.x | [`EpochDeadlines`] |
//!
//! # Limits
//!
//! [`Limits`](antiphon::Limits) are on by default, and hold for each instance. The builder sets
//! them for all instances of a module, a host for its own; where both set one, the stricter holds.
//! Memory and tables are capped in the store, a deadline is checked at each tick of 5 ms while
//! guest code runs, and fuel is counted where [`fuel`](antiphon::Limits::fuel) is set on the
//! builder. A module that needs more than its limits, or is no waPC guest, is refused when it is
//! compiled. Antiphon never ticks an engine of yours: such an engine has a deadline only if its
//! epochs are on.
//!
//! # Straight and cooperative
//!
//! A guest of a synchronous host runs *straight*: on its caller's stack, to the end of the call. A
//! guest of an asynchronous host is *cooperative*: it has a
//! stack of its own, so it can be suspended while it waits for its host, and at each tick so that
//! other tasks run. With [`cooperative(false)`](WasmtimeEngineProviderBuilder::cooperative) a guest
//! that cannot wait runs straight there too, which is faster for short calls of trusted guests.
//!
//! # What is compiled, and where code is kept
//!
//! Each call of a `build` method compiles the module, on all processors, one module at a time in a
//! process ([`set_parallel_compilations`] allows more). Modules that are built with equal settings
//! share an engine; each has its own code, and each instance its own memory. The compiled code
//! stays in memory as long as a provider or a factory made from it exists. If the builder is given
//! a `ModuleCache` (feature `cache`), the code is also written to disk, sealed with a `SealKey`
//! that only this user can read. It is loaded again only if the seal is whole and the code was
//! compiled for this version of Wasmtime, this processor and these settings.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod compile;
mod engine;
mod instance;
mod lock;
mod options;
mod provider;
#[cfg(feature = "async")]
mod provider_async;

// For programs that embed guests.
pub use builder::WasmtimeEngineProviderBuilder;
#[cfg(feature = "cache")]
pub use compile::cache::{ArtifactError, CacheStats, ModuleCache, SealKey};
pub use compile::set_parallel_compilations;
pub use provider::WasmtimeEngineProvider;
#[cfg(feature = "async")]
pub use provider_async::WasmtimeEngineProviderAsync;
/// The engine itself, for programs that bring their own engine or need this exact version.
pub use wasmtime;

// Names of wasmtime-provider 2.x.
pub mod errors;
pub use options::{EpochDeadlines, ResourceLimits};
pub use provider::WasmtimeEngineProviderPre;
#[cfg(feature = "async")]
pub use provider_async::WasmtimeEngineProviderAsyncPre;

// What the provider types are made of.
#[doc(hidden)]
pub use instance::{Compiled, Instance};

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
