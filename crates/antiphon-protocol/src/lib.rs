//! The waPC conversation as a pure state machine.
//!
//! A [`Conversation`] is one guest call from start to end, with its host calls. An engine feeds it the imports that the
//! guest calls, each with the guest's memory as a plain byte slice; a host begins it, finishes it and reads its
//! [`Outcome`]. Nothing here blocks, locks, awaits, looks at a clock or knows an engine, so the whole protocol is
//! tested with a `Vec<u8>` for memory.
//!
//! ```
//! use antiphon_protocol::{Conversation, Limits, Outcome, Payload};
//!
//! let mut memory = vec![0u8; 64];
//! let mut conversation = Conversation::new(Limits::new());
//! conversation.begin_call("echo", Payload::from(b"hello".as_slice()))?;
//!
//! // What an engine does when the guest calls its imports:
//! conversation.guest_request(&mut memory, 0, 16)?;
//! assert_eq!(&memory[0..4], b"echo");
//! conversation.guest_response(&memory, 16, 5)?;
//!
//! // What the host does when `__guest_call` has returned 1:
//! assert_eq!(conversation.end_call(1), Outcome::Answered);
//! assert_eq!(conversation.take_response(), b"hello");
//! # Ok::<(), antiphon_protocol::Violation>(())
//! ```
//!
//! The protocol is that of <https://wapc.io/docs/spec/>, with the corners of it settled in ARCHITECTURE.md.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

extern crate alloc;

mod conversation;
mod host_call;
mod limits;
mod memory;
pub mod names;
mod payload;
mod text;
mod violation;

pub use conversation::{Conversation, Outcome};
pub use host_call::{Begin, HostCallRequest, HostCallSpans};
pub use limits::Limits;
pub use memory::{Span, read, write};
pub use payload::Payload;
pub use violation::{HostCallBudget, MemoryFault, Violation};
