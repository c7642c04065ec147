#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

extern crate alloc;

mod conversation;
mod host_call;
mod limits;
mod memory;
pub mod names;
mod operation;
mod payload;
mod text;
mod violation;

pub use conversation::{Conversation, Outcome};
pub use host_call::{Begin, HostCallRequest};
pub use limits::Limits;
pub use memory::{Span, read, write};
pub use payload::Payload;
pub use violation::{HostCallBudget, MemoryFault, Violation};
