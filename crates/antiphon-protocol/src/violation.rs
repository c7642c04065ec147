//! What ends a conversation before the guest returns.

use core::error::Error;
use core::fmt;

use crate::memory::Span;

/// A breach of the protocol. The engine ends the guest call with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A span outside of the guest's memory.
    Memory(MemoryFault),
    /// A request or a response over its limit.
    #[non_exhaustive]
    TooLarge {
        /// What was too large: `request`, `operation`, or `response`.
        what: &'static str,
        /// The size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The guest made one host call too many, or its host calls carried too many bytes.
    #[non_exhaustive]
    HostCallLimit {
        /// Which of the two budgets ran out.
        budget: HostCallBudget,
        /// The budget: a number of calls, or of bytes.
        limit: u64,
        /// The sum, including the call or the bytes that were refused.
        used: u64,
    },
}

/// The two budgets of the host calls in one guest call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCallBudget {
    /// The number of host calls.
    Calls,
    /// The bytes that the host calls carry, arguments and answers together. Without this budget,
    /// 1,000 calls of 4 MiB each way would copy 8 GiB within the other limits.
    Bytes,
}

/// A span that is not inside of the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryFault {
    /// The import that the guest called.
    pub import: &'static str,
    /// The span that the guest passed.
    pub span: Span,
    /// The size of the guest's memory at that moment, in bytes.
    pub memory_size: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(fault) => fault.fmt(f),
            Self::TooLarge { what, size, limit } => {
                // An operation has the limit of all names.
                let setter = if *what == "operation" { "name" } else { what };
                write!(
                    f,
                    "{what} of {size} bytes is over its limit of {limit} bytes (raise it with Limits::{setter})"
                )
            }
            Self::HostCallLimit { budget: HostCallBudget::Calls, limit, .. } => {
                write!(f, "more than {limit} host calls in one call (raise it with Limits::host_calls)")
            }
            Self::HostCallLimit { budget: HostCallBudget::Bytes, limit, used } => {
                write!(
                    f,
                    "host calls carried more than {limit} bytes in one call: {used} (raise it with \
                     Limits::host_call_bytes)"
                )
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
