//! WASI for guests.

#[cfg(feature = "wasi-fs")]
pub(crate) mod directories;
pub(crate) mod sealed;
