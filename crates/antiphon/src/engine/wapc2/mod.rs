//! What engines of `wapc` 2.x's shape know of their host.

pub mod functions;
mod invocation;
mod module_host;
#[cfg(feature = "async")]
mod module_host_async;
mod module_state;
#[cfg(feature = "async")]
mod module_state_async;

pub use invocation::Invocation;
pub use module_host::ModuleHost;
pub use module_state::ModuleState;
pub(crate) use module_state::State;
#[cfg(feature = "async")]
pub use {module_host_async::ModuleHostAsync, module_state_async::ModuleStateAsync};
