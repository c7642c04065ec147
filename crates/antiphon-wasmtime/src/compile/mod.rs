//! The ways from a module's bytes to native code.

#[cfg(feature = "cache")]
pub(crate) mod cache;
pub(crate) mod loading;
pub(crate) mod native;
pub(crate) mod turns;
