//! The [wasmi](https://docs.rs/wasmi) engine for [Antiphon](antiphon): waPC guests, interpreted.
//!
//! A *provider* runs one instance of a guest for one host. [`WasmiEngineProviderBuilder`]
//! translates a module and makes providers of it; a host takes a provider and calls the guest.
//!
//! ```
//! use antiphon::{Limits, WapcHost};
//! use antiphon_wasmi::WasmiEngineProviderBuilder;
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
//! let provider = WasmiEngineProviderBuilder::new()
//!     .module_bytes(echo)
//!     .limits(Limits::new().memory(8 << 20))
//!     .build()?;
//! let host = WapcHost::new(Box::new(provider), None)?;
//! assert_eq!(host.call("echo", b"hello")?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! [`build`](WasmiEngineProviderBuilder::build) makes the provider of a `WapcHost`,
//! [`build_async`](WasmiEngineProviderBuilder::build_async) that of a `WapcHostAsync`, and
//! [`factory`](WasmiEngineProviderBuilder::factory) any number of both from one module.
//!
//! # Limits
//!
//! [`Limits`](antiphon::Limits) are on by default, and hold for each instance. The builder sets
//! them for all instances of a module, a host for its own; where both set one, the stricter holds.
//! wasmi looks at no clock, so guest code gets fuel in slices of microseconds, and the time is
//! looked at between two of them. One instruction is never cut. The guest's stack is on the heap.
//!
//! # What is translated
//!
//! Small functions are translated when they are first called; a module with a large one is
//! translated as a whole. Each module has an engine of its own, which ends with it. No native code
//! is made, and none is kept on disk. The README says how to build wasmi in a dev profile.
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

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
