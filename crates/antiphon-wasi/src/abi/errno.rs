//! The error numbers that a sealed world answers with.

/// An error number of preview 1. Preview 0 has the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Errno {
    /// Bad file descriptor.
    Badf = 8,
    /// Invalid argument.
    Inval = 28,
    /// Input or output error.
    Io = 29,
    /// Not a directory.
    Notdir = 54,
    /// Not a socket.
    Notsock = 57,
    /// Not supported.
    Notsup = 58,
    /// Invalid seek.
    Spipe = 70,
}

impl Errno {
    /// Returns the number, as an event stores it.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Errno> for i32 {
    fn from(errno: Errno) -> i32 {
        i32::from(errno.code())
    }
}
