//! The ways from a module's bytes, or from a file of its code, to a compiled module.

#[cfg_attr(not(feature = "cache"), path = "no_cache.rs")]
pub(crate) mod cache;
mod compiling;
mod native;
mod source;
mod turns;

pub(crate) use self::native::copy;
pub(crate) use self::source::Source;
pub use self::turns::set_parallel_compilations;
