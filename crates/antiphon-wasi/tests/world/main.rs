//! The sealed world from outside the crate.

mod hostile;
mod sealed;
