//! The hosts: each runs one guest for any number of callers.

#[cfg(feature = "async")]
mod async_host;
mod builder;
mod defaults;
mod gate;
#[cfg(feature = "async")]
mod offload;
mod slot;
mod sync_host;
mod warnings;

pub use builder::HostBuilder;
pub use defaults::{default_limits, set_default_limits};
pub use sync_host::WapcHost;
#[cfg(feature = "async")]
pub use {async_host::WapcHostAsync, offload::offload};
