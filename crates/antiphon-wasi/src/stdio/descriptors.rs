//! The standard streams, at their own numbers.

use super::Stream;
use crate::abi::Errno;

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Descriptor {
    /// Standard input, always at its end.
    Stdin,
    /// Standard output or error.
    Output(Stream),
}

impl Descriptor {
    /// Returns the rights that the guest is told, base and inheriting alike.
    pub(crate) fn rights(self) -> u64 {
        const FD_READ: u64 = 1 << 1;
        const FD_WRITE: u64 = 1 << 6;
        match self {
            Descriptor::Stdin => FD_READ,
            Descriptor::Output(_) => FD_WRITE,
        }
    }
}

/// The descriptors 0, 1 and 2, as far as they are standard streams. They can only become fewer:
/// what a guest opens or moves is in the table of its directories.
#[derive(Debug, Clone)]
pub(crate) struct Descriptors([Option<Descriptor>; 3]);

impl Default for Descriptors {
    fn default() -> Descriptors {
        Descriptors([
            Some(Descriptor::Stdin),
            Some(Descriptor::Output(Stream::Stdout)),
            Some(Descriptor::Output(Stream::Stderr)),
        ])
    }
}

impl Descriptors {
    /// Returns what a number stands for, or `EBADF` if it is not open.
    pub(crate) fn get(&self, fd: i32) -> Result<Descriptor, Errno> {
        let slot = usize::try_from(fd).ok().and_then(|fd| self.0.get(fd));
        slot.copied().flatten().ok_or(Errno::Badf)
    }

    fn slot(&mut self, fd: i32) -> Result<&mut Option<Descriptor>, Errno> {
        let slot = usize::try_from(fd).ok().and_then(|fd| self.0.get_mut(fd));
        slot.filter(|slot| slot.is_some()).ok_or(Errno::Badf)
    }

    /// Closes a descriptor, or returns `EBADF` if it is not open.
    pub(crate) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        *self.slot(fd)? = None;
        Ok(())
    }

    /// Moves `from` onto `to`. Both have to be open.
    pub(crate) fn renumber(&mut self, from: i32, to: i32) -> Result<(), Errno> {
        let moved = self.get(from)?;
        *self.slot(to)? = Some(moved);
        if from != to {
            *self.slot(from)? = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_descriptors_are_open() {
        let table = Descriptors::default();
        assert_eq!(table.get(0), Ok(Descriptor::Stdin));
        assert_eq!(table.get(1), Ok(Descriptor::Output(Stream::Stdout)));
        assert_eq!(table.get(2), Ok(Descriptor::Output(Stream::Stderr)));
        for fd in [3, -1, i32::MAX, i32::MIN] {
            assert_eq!(table.get(fd), Err(Errno::Badf));
        }
    }

    #[test]
    fn a_closed_descriptor_stays_closed() {
        let mut table = Descriptors::default();
        assert_eq!(table.close(1), Ok(()));
        assert_eq!(table.close(1), Err(Errno::Badf));
        assert_eq!(table.renumber(2, 1), Err(Errno::Badf));
        assert_eq!(table.get(2), Ok(Descriptor::Output(Stream::Stderr)));
    }

    #[test]
    fn renumbering_moves() {
        let mut table = Descriptors::default();
        assert_eq!(table.renumber(2, 2), Ok(()));
        assert_eq!(table.renumber(2, 1), Ok(()));
        assert_eq!(table.get(1), Ok(Descriptor::Output(Stream::Stderr)));
        assert_eq!(table.get(2), Err(Errno::Badf));
    }
}
