#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod call;
mod conversation;
mod engine;
pub mod errors;
mod handler;
mod host;
mod module;
pub mod testing;
mod time;
mod usage;

/// A future in a box, sent between threads.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

pub use antiphon_protocol::names::HOST_NAMESPACE;
pub use antiphon_protocol::{Limits, Payload};
#[cfg(feature = "async")]
pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use call::cancel::CancelHandle;
pub use call::context::Context;
pub use call::isolation::Isolation;
pub use call::queueing::Awaiting;
pub use call::request::{Request, Response};
pub use call::terms::Caller;
pub use call::wait::block_on;
pub use conversation::log::{LogLine, LogStream};
pub use conversation::{Conversation, Watch};
pub use engine::options::EngineOptions;
pub use engine::provider;
pub use engine::wapc2::functions as wapc_functions;
pub use engine::wapc2::invocation::Invocation;
pub use engine::wapc2::module_state::ModuleState;
#[cfg(feature = "async")]
pub use engine::wapc2::module_state::ModuleStateAsync;
pub use engine::wasi::WasiParams;
pub use engine::{Capabilities, EngineProviderFactory, ModuleHost, WebAssemblyEngineProvider};
#[cfg(feature = "async")]
pub use engine::{ModuleHostAsync, WebAssemblyEngineProviderAsync};
pub use errors::exceeded::Exceeded;
pub use handler::closures::{HandlerFn, handler_fn};
#[cfg(feature = "async")]
pub use handler::closures::{HandlerFnAsync, handler_fn_async};
pub use handler::route::Route;
pub use handler::router::HostRouter;
pub use handler::{HostCall, HostCallError, HostCallback, HostHandler};
#[cfg(feature = "async")]
pub use handler::{HostCallbackAsync, HostHandlerAsync};
#[cfg(feature = "async")]
pub use host::async_host::WapcHostAsync;
pub use host::builder::HostBuilder;
#[cfg(feature = "async")]
pub use host::offload::offload;
pub use host::sync_host::WapcHost;
pub use module::growth;
pub use module::info as module_info;
pub use module::info::ModuleInfo;
pub use time::ticker;
pub use time::yielding::Yield;
pub use usage::{FuelUse, Usage};
