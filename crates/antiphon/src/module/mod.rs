//! What a module says about itself, and whether it is a guest that an engine can run.

#[cfg(feature = "module-bytes")]
mod bytes;
mod check;
#[cfg(feature = "module-info")]
mod cost;
pub mod growth;
pub mod info;
#[cfg(feature = "module-info")]
mod load;
mod needs;
#[cfg(feature = "module-info")]
mod parse;
#[cfg(feature = "module-info")]
mod start;
mod unknown;
