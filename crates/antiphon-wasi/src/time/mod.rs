//! Time: the clocks, and the one function that waits.

mod clocks;
mod poll;

pub(crate) use clocks::Clocks;
pub use poll::{MAX_SUBSCRIPTIONS, Poll, Wait};
