//! What is measured against one another: hosts by hand, the incumbent, extism, Antiphon.

mod abi;
#[cfg(feature = "antiphon")]
pub mod antiphon;
#[cfg(feature = "extism")]
pub mod extism;
pub mod incumbent;
pub mod limit;
pub mod limit_wasmi;
pub mod maker;
pub(crate) mod native;
pub mod pool;
