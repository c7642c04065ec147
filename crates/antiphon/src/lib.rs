#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod alarm;
mod budget;
mod builder;
mod cancel;
mod context;
mod conversation;
mod core;
mod deadline;
mod engine;
pub mod errors;
mod exceeded;
#[cfg(feature = "module-info")]
mod function_cost;
mod gate;
pub mod growth;
mod handler;
mod handler_fn;
mod host;
#[cfg(feature = "async")]
mod host_async;
mod imports;
mod invocation;
mod isolation;
mod kind;
mod ledger;
mod log;
mod module_check;
#[cfg(feature = "module-info")]
mod module_cost;
pub mod module_info;
#[cfg(feature = "module-info")]
mod module_info_bytes;
#[cfg(feature = "module-info")]
mod module_info_parse;
#[cfg(feature = "module-info")]
mod module_load;
mod module_needs;
#[cfg(feature = "module-info")]
mod module_start;
mod module_state;
mod numbers;
#[cfg(feature = "async")]
mod offload;
mod options;
mod output;
pub mod provider;
mod queueing;
mod reentrancy;
mod request;
mod route;
mod route_table;
mod router;
mod sink;
mod source;
mod terms;
pub mod testing;
pub mod ticker;
mod usage;
mod wait;
pub mod wapc_functions;
mod wasi;
#[cfg(feature = "module-info")]
mod weight;
mod yielding;

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

pub use antiphon_protocol::names::HOST_NAMESPACE;
pub use antiphon_protocol::{Limits, Payload};
#[cfg(feature = "async")]
pub use async_trait::async_trait;
pub use builder::HostBuilder;
pub use bytes::Bytes;
pub use cancel::CancelHandle;
pub use context::Context;
pub use conversation::{Conversation, Watch};
pub use engine::{Capabilities, EngineProviderFactory, ModuleHost, WebAssemblyEngineProvider};
#[cfg(feature = "async")]
pub use engine::{ModuleHostAsync, WebAssemblyEngineProviderAsync};
pub use exceeded::Exceeded;
pub use handler::{HostCall, HostCallError, HostCallback, HostHandler};
#[cfg(feature = "async")]
pub use handler::{HostCallbackAsync, HostHandlerAsync};
pub use handler_fn::{HandlerFn, handler_fn};
#[cfg(feature = "async")]
pub use handler_fn::{HandlerFnAsync, handler_fn_async};
pub use host::WapcHost;
#[cfg(feature = "async")]
pub use host_async::WapcHostAsync;
pub use invocation::Invocation;
pub use isolation::Isolation;
pub use log::{LogLine, LogStream};
pub use module_info::ModuleInfo;
pub use module_state::ModuleState;
#[cfg(feature = "async")]
pub use module_state::ModuleStateAsync;
#[cfg(feature = "async")]
pub use offload::offload;
pub use options::EngineOptions;
pub use queueing::Awaiting;
pub use request::{Request, Response};
pub use route::Route;
pub use router::HostRouter;
pub use terms::Caller;
pub use usage::{FuelUse, Usage};
pub use wait::block_on;
pub use wasi::WasiParams;
pub use yielding::Yield;
