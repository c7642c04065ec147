//! The hosts: each runs one guest for any number of callers.

#[cfg(feature = "async")]
pub(crate) mod async_host;
pub(crate) mod builder;
pub(crate) mod gate;
#[cfg(feature = "async")]
pub(crate) mod offload;
pub(crate) mod slot;
pub(crate) mod sync_host;
