//! One call: what its caller asks for, the terms that hold for it, and how it waits.

mod cancel;
mod context;
mod isolation;
mod meter;
mod queueing;
pub(crate) mod reentrancy;
mod request;
mod terms;
mod wait;

pub use cancel::CancelHandle;
pub use context::Context;
pub use isolation::Isolation;
pub(crate) use meter::{Meter, Traffic};
pub use queueing::Awaiting;
pub(crate) use request::Options;
pub use request::{Request, Response};
pub use terms::Caller;
pub(crate) use terms::{Interrupt, Link, Terms};
pub use wait::{block_on, within};
pub(crate) use wait::{sleep, until};
