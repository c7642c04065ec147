//! WASI for guests: the sealed world, or that of guests that were granted directories.

#[cfg_attr(not(feature = "wasi-fs"), path = "no_directories.rs")]
mod directories;
#[cfg_attr(not(feature = "wasi"), path = "no_sealed.rs")]
pub(super) mod sealed;

#[cfg(feature = "wasi-fs")]
pub(super) use self::directories::in_tokio;
pub(super) use self::directories::{Directories, exit_code, flush as flush_directories, open as directories};
pub(super) use self::sealed::{Session, World, flush, import_type, link, session, world};
