//! A waPC host runtime: calls operations of a sandboxed guest with opaque bytes, and answers the
//! guest's calls back.
//!
//! A **host** runs one guest. [`WapcHost`] blocks the thread of its caller, [`WapcHostAsync`] waits
//! on any executor. Each serves one call at a time, in order; for more calls at once, make more
//! hosts, or take a pool of them (the crate `antiphon-pool`). A host is made from a provider, which
//! is an **engine** with a module; `antiphon-wasmtime` and `antiphon-wasmi` have providers for
//! WebAssembly. This crate holds no engine and no executor. The crate `antiphon-host` puts it
//! together with an engine and the pool, and is the one dependency of a first program.
//!
//! What happens in a **call**:
//!
//! 1. The call waits until the host is free. The time counts against the call's deadline.
//! 2. If the host has no usable instance, because an earlier call lost it or each call gets its
//!    own, the engine starts a new one.
//! 3. The guest runs. It reads its request, and answers with a response or an error.
//! 4. Where the guest calls its host, the handler answers. A [`Route`] can allow some calls and
//!    refuse others.
//! 5. The answer is copied to the caller. A trap, a deadline, or a cancel while the guest runs
//!    discards the instance with its memory; [`Error::fate`](errors::Error::fate) says so.
//!
//! **Limits** hold without being set: [`Limits`] lists them with their defaults. The host and the
//! provider can each set them, and the stricter one holds; a [`Request`] can shorten one call or
//! lengthen it, and a [`Route`] has budgets of its own for the host calls that it serves. An error
//! names the limit that ended a call: [`Exceeded`]. [`set_default_limits`] replaces the defaults of
//! a whole process.
//!
//! | to do this | take |
//! |---|---|
//! | call a guest | [`WapcHost`] or [`WapcHostAsync`], from [`HostBuilder`] with limits and a handler |
//! | give one call a deadline, a cancel handle, values for handlers | [`Request`] |
//! | answer host calls | [`handler_fn`], or an implementation of [`HostHandler`] or [`HostHandlerAsync`] |
//! | answer some host calls by rule, and refuse all others | [`HostRouter`] and [`Route`] |
//! | call another guest from a handler | [`HostCall::caller`] and [`Request::caller`] |
//! | swap the module of a running host | [`WapcHost::replace_module`] |
//! | test without WebAssembly | [`testing::TestEngine`] |
//! | write an engine | [`provider`], or the traits [`WebAssemblyEngineProvider`] and [`EngineProviderFactory`] |
//!
//! ```
//! use antiphon::{Bytes, ErrorKind, HostRouter, Limits, Route, WapcHost, handler_fn, testing::TestEngine};
//! use std::time::Duration;
//!
//! let engine = TestEngine::new()
//!     .operation_with_host("greet", |guest| async move { guest.host_call("kv", "names", "get", guest.payload()).await })
//!     .operation("shout", |text| Ok(text.repeat(100)));
//! let names = handler_fn(|call| Ok(Bytes::from([b"hello ", call.payload].concat())));
//! let host = WapcHost::builder(Box::new(engine))
//!     .handler(HostRouter::new().route(Route::any().binding("kv").operation("get").max_calls(10).handler(names)))
//!     .limits(Limits::new().deadline(Duration::from_millis(100)).response(64))
//!     .build()?;
//! assert_eq!(host.call("greet", b"world")?, b"hello world");
//!
//! let error = host.call("shout", b"hi").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::TooLarge);
//! assert_eq!(error.exceeded().unwrap().to_string(), "response: 200 of 64 bytes");
//! # Ok::<(), antiphon::Error>(())
//! ```
//!
//! The crate is a drop-in for `wapc` 2.x:
//! `wapc = { package = "antiphon", git = "https://github.com/antiphon-wasm/antiphon" }`.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// For programs that embed guests: hosts, calls, errors.

mod host;
pub use host::{HostBuilder, WapcHost, default_limits, set_default_limits};
#[cfg(feature = "async")]
pub use host::{WapcHostAsync, offload};

mod call;
pub use antiphon_protocol::{Limits, Payload};
pub use bytes::Bytes;
pub use call::{Awaiting, CancelHandle, Isolation, Request, Response, block_on};

mod usage;
pub use usage::{FuelUse, Usage};

pub mod errors;
pub use errors::{Error, ErrorKind, Exceeded, Result};

pub mod testing;

// For handlers of host calls.

mod handler;
pub use call::{Caller, Context};
pub use handler::{HandlerFn, HostCall, HostCallError, HostHandler, HostRouter, Route, handler_fn};
#[cfg(feature = "async")]
pub use {
    async_trait::async_trait,
    handler::{HandlerFnAsync, HostHandlerAsync, handler_fn_async},
};

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

// For authors of engines.

mod engine;
#[cfg(feature = "async")]
pub use engine::WebAssemblyEngineProviderAsync;
pub use engine::{
    Capabilities, EngineOptions, EngineProviderFactory, GuestDir, WasiParams, WebAssemblyEngineProvider,
    provider,
};

mod conversation;
pub use conversation::{Conversation, LogLine, LogStream};

mod module;
pub use module::{growth, info as module_info, info::ModuleInfo};

mod survive;
mod time;
pub use time::Yield;

/// The clock of every deadline: ticks for engines, and waits that need no executor's timer.
pub mod ticker {
    pub use crate::call::within;
    pub use crate::survive::survive;
    pub use crate::time::ticker::{OnTick, TICK, lateness, now, now_inside, on_each_tick};
}

// Names of `wapc` 2.x.

pub use antiphon_protocol::names::HOST_NAMESPACE;
pub use engine::wapc2::{Invocation, ModuleHost, ModuleState, functions as wapc_functions};
pub use handler::HostCallback;
#[cfg(feature = "async")]
pub use {
    engine::wapc2::{ModuleHostAsync, ModuleStateAsync},
    handler::HostCallbackAsync,
};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
