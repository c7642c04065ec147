//! What ends a conversation before the guest returns.

use core::error::Error;
use core::fmt;

use crate::memory::Span;

/// A breach of the protocol: the engine ends the guest call with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A pointer and length outside the guest's memory.
    Memory(MemoryFault),
    /// A request or a response above its limit.
    #[non_exhaustive]
    TooLarge {
        /// What was too large: `request`, `operation` or `response`.
        what: &'static str,
        /// Its size, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// One host call too many, or one byte too many in them.
    #[non_exhaustive]
    HostCallLimit {
        /// Which of the two budgets ran out.
        budget: HostCallBudget,
        /// The budget: a number of calls, or of bytes.
        limit: u64,
        /// What it came to with the one that was refused.
        used: u64,
    },
}

/// The two budgets of the host calls in one guest call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCallBudget {
    /// The number of host calls.
    Calls,
    /// The bytes that the host calls carry, arguments and answers together.
    Bytes,
}

/// A span of guest memory that is not inside guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryFault {
    /// The import that the guest called.
    pub import: &'static str,
    /// Where it pointed.
    pub span: Span,
    /// The size of the guest's memory at that moment, in bytes.
    pub memory_size: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(fault) => fault.fmt(f),
            Self::TooLarge { what, size, limit } => {
                write!(f, "{what} of {size} bytes is over its limit of {limit} bytes")
            }
            Self::HostCallLimit { budget: HostCallBudget::Calls, limit, .. } => {
                write!(f, "more than {limit} host calls in one call")
            }
            Self::HostCallLimit { budget: HostCallBudget::Bytes, limit, used } => {
                write!(f, "host calls carried more than {limit} bytes in one call: {used}")
            }
        }
    }
}

impl Error for Violation {}

impl fmt::Display for MemoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { import, span: Span { ptr, len }, memory_size } = self;
        write!(
            f,
            "{import}: pointer {ptr:#x} with length {len} is outside the guest's memory of {memory_size} bytes"
        )
    }
}

impl Error for MemoryFault {}
