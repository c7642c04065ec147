//! The one error type, with its kind, its fault, the fate of the instance and its sources.

mod error;
pub(crate) mod exceeded;
pub(crate) mod kind;

pub use error::{BoxError, Error, Result};
pub use kind::{ErrorKind, Fate, Fault, Phase};
