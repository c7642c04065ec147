//! The benchmarks: a file for each command.

#[cfg(feature = "antiphon")]
pub mod cold;
pub mod echo;
pub mod fresh;
pub mod idle;
pub mod load;
pub mod loops;
