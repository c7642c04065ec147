//! Runs waPC guests: everything that a program which embeds WebAssembly plugins needs, in one
//! crate.
//!
//! A **host** sends an operation name and opaque bytes into a sandboxed **guest**; the guest
//! answers, and may call the host back. This crate puts the parts of [Antiphon] together, so that
//! the first program needs one dependency:
//!
//! ```
//! use antiphon_host::{Limits, Module, handler_fn};
//! use std::time::Duration;
//!
//! # let guest = br#"(module
//! #   (import "wapc" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
//! #   (import "wapc" "__host_response_len" (func $len (result i32)))
//! #   (import "wapc" "__host_response" (func $read (param i32)))
//! #   (import "wapc" "__guest_response" (func $respond (param i32 i32)))
//! #   (memory (export "memory") 1)
//! #   (func (export "__guest_call") (param i32 i32) (result i32)
//! #     (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
//! #                       (i32.const 0) (i32.const 0) (i32.const 0)))
//! #     (call $read (i32.const 64)) (call $respond (i32.const 64) (call $len)) (i32.const 1)))"#;
//! // In a program: `Module::open("plugin.wasm")`.
//! let module = Module::new(guest)?;
//! let host = module
//!     .host()?
//!     .limits(Limits::new().memory(32 << 20).deadline(Duration::from_millis(100)))
//!     .handler(handler_fn(|_call| Ok("the host's answer".into())))
//!     .build()?;
//! assert_eq!(host.call("ask", b"a question")?, b"the host's answer");
//! # Ok::<(), antiphon_host::Error>(())
//! ```
//!
//! # Which type for which job
//!
//! | a program that | takes |
//! |---|---|
//! | calls a guest from its threads, one call at a time | [`Module::host`], which builds a [`WapcHost`] |
//! | calls a guest from async tasks, on any executor | `Module::host_async`, which builds a `WapcHostAsync` |
//! | serves many calls at once | `Module::pool`, which builds a `HostPool` |
//! | answers a guest's calls | [`HostHandler`], or a [`HostRouter`] of [`Route`]s |
//! | lets its configuration choose the engine | [`EngineKind`] |
//! | needs more of one engine than [`ModuleBuilder`] sets | the modules `wasmtime` and `wasmi` |
//!
//! A guest has limits from the start: 64 MiB of memory, 2 s for a call, nothing of the machine but
//! a clock and random bytes. [`Limits`] names all of them. An [`Error`] says with its
//! [kind](ErrorKind) what happened, and with its [fault](errors::Fault) which party has
//! to change something.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `wasmtime` (default) | the Wasmtime engine, which compiles guests to machine code |
//! | `wasmi` | the wasmi engine, which interprets them: quick to start and to build, pure Rust |
//! | `async` (default) | `WapcHostAsync`, on any executor |
//! | `pool` (default) | `HostPool` |
//! | `cache` | compiled code that outlives the program, on Wasmtime |
//!
//! # Why this is a crate of its own
//!
//! The core, `antiphon`, names no engine, so that a program which brings its own engine builds no
//! other. Users of `wapc` also replace it by the name `antiphon`. A facade above the engines keeps
//! both so.
//!
//! [Antiphon]: https://github.com/antiphon-wasm/antiphon

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine_kind;
mod engines;
mod module;

pub use antiphon::*;
#[cfg(feature = "pool")]
pub use antiphon_pool::{
    Drained, Histogram, HostPool, HostPoolBuilder, PoolStats, VersionStats, WeakHostPool,
};
/// The wasmi engine, with all that its builder sets.
#[cfg(feature = "wasmi")]
pub use antiphon_wasmi as wasmi;
/// The Wasmtime engine, with all that its builder sets.
#[cfg(feature = "wasmtime")]
pub use antiphon_wasmtime as wasmtime;
pub use engine_kind::EngineKind;
pub use module::{Module, ModuleBuilder};

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
