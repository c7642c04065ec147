//! Why a function does not return to the guest.

use std::fmt;

use super::Errno;
use super::memory::OutOfBounds;

/// Why a function does not return to the guest. The engine ends the guest's call for this reason.
///
/// It is small, and implements `Error`: box it as the engine's trap, and find it again by downcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The guest called `proc_exit` with this code. Zero is success where an exit is expected
    /// (`_start`, `_initialize`), and a failure of the guest in any other call.
    Exit(u32),
    /// A pointer or length leads outside of the guest's memory.
    Fault(Fault),
}

impl Stop {
    /// Returns the exit code, if the guest exited.
    pub const fn exit_code(&self) -> Option<u32> {
        match self {
            Stop::Exit(code) => Some(*code),
            Stop::Fault(_) => None,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Exit(code) => write!(f, "guest exited with code {code}"),
            Stop::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Stop {}

/// A span that is outside of the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The function that received it.
    pub function: &'static str,
    /// Where the span begins, in bytes. It exceeds 32 bits for an element of an array that reaches
    /// that far.
    pub pointer: u64,
    /// The length of the span in bytes.
    pub length: u64,
    /// The size of the memory in bytes.
    pub memory: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { function, pointer, length, memory } = self;
        write!(
            f,
            "{function}: pointer {pointer:#x}, length {length} is outside of the memory of {memory} bytes"
        )
    }
}

/// A failure inside of a function: an error number for the guest, or the end of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Errno(Errno),
    OutOfBounds(OutOfBounds),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Errno(errno)
    }
}

impl From<OutOfBounds> for Failure {
    fn from(span: OutOfBounds) -> Failure {
        Failure::OutOfBounds(span)
    }
}

/// Turns the result of a function into what its import returns.
pub(crate) fn settle(function: &'static str, outcome: Result<(), Failure>) -> Result<i32, Stop> {
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(errno.into()),
        Err(Failure::OutOfBounds(OutOfBounds { pointer, length, memory })) => {
            Err(Stop::Fault(Fault { function, pointer, length, memory }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_says_what_happened() {
        assert_eq!(Stop::Exit(3).to_string(), "guest exited with code 3");
        assert_eq!(Stop::Exit(3).exit_code(), Some(3));
        let stop = settle("fd_write", Err(OutOfBounds { pointer: 65_536, length: 8, memory: 65_536 }.into()));
        let stop = stop.expect_err("a fault stops the call");
        assert_eq!(
            stop.to_string(),
            "fd_write: pointer 0x10000, length 8 is outside of the memory of 65536 bytes"
        );
        assert_eq!(stop.exit_code(), None);
    }

    #[test]
    fn an_error_number_returns_to_the_guest() {
        assert_eq!(settle("fd_tell", Err(Errno::Spipe.into())), Ok(70));
        assert_eq!(settle("fd_tell", Ok(())), Ok(0));
    }
}
