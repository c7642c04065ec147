//! The error numbers that functions answer with.

/// An error number of preview 1. Preview 0 has the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(not(all(feature = "dirs", unix)), expect(dead_code, reason = "most are errors of files"))]
pub(crate) enum Errno {
    /// Permission denied by the system.
    Acces = 2,
    /// Resource temporarily unavailable.
    Again = 6,
    /// Bad file descriptor.
    Badf = 8,
    /// Device or resource busy.
    Busy = 10,
    /// Resource deadlock would occur.
    Deadlk = 16,
    /// Disk quota exceeded.
    Dquot = 19,
    /// File exists.
    Exist = 20,
    /// File too large.
    Fbig = 22,
    /// Illegal byte sequence.
    Ilseq = 25,
    /// Interrupted function.
    Intr = 27,
    /// Invalid argument.
    Inval = 28,
    /// Input or output error.
    Io = 29,
    /// Is a directory.
    Isdir = 31,
    /// Too many levels of symbolic links.
    Loop = 32,
    /// File descriptor value too large.
    Mfile = 33,
    /// Too many links.
    Mlink = 34,
    /// Filename too long.
    Nametoolong = 37,
    /// Too many files open in system.
    Nfile = 41,
    /// No such device.
    Nodev = 43,
    /// No such file or directory.
    Noent = 44,
    /// No locks available.
    Nolck = 46,
    /// Not enough space in memory.
    Nomem = 48,
    /// No space left on device.
    Nospc = 51,
    /// Function not supported by the system.
    Nosys = 52,
    /// Not a directory.
    Notdir = 54,
    /// Directory not empty.
    Notempty = 55,
    /// Not a socket.
    Notsock = 57,
    /// Not supported.
    Notsup = 58,
    /// No such device or address.
    Nxio = 60,
    /// Value too large to be stored.
    Overflow = 61,
    /// Operation not permitted.
    Perm = 63,
    /// Read-only file system.
    Rofs = 69,
    /// Invalid seek.
    Spipe = 70,
    /// Stale file handle.
    Stale = 72,
    /// Connection timed out.
    Timedout = 73,
    /// Text file busy.
    Txtbsy = 74,
    /// Link between devices.
    Xdev = 75,
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
