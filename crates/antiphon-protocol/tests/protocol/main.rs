//! The conversation from outside the crate.

mod conversation;
mod hostile;
