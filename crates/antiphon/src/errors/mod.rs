//! The one error type: its kind, the party at fault, the fate of the instance, and its sources.

mod error;
mod exceeded;
mod kind;
mod resource;
mod wapc2;

pub use error::{BoxError, Error, Result};
pub use exceeded::Exceeded;
pub use kind::{ErrorKind, Fate, Fault, Phase};
pub use resource::Resource;
