//! One call: what its caller asks for, the terms that hold for it, and how it waits.

pub(crate) mod cancel;
pub(crate) mod context;
pub(crate) mod isolation;
pub(crate) mod queueing;
pub(crate) mod reentrancy;
pub(crate) mod request;
pub(crate) mod terms;
pub(crate) mod wait;
