//! The records that the functions write, byte by byte.

use super::Abi;
use super::memory::{self, OutOfBounds};

/// The file types that a record can show.
///
/// A standard stream is a character device. Wasmtime reports 'unknown' for a stream that is not a
/// terminal. Here each stream looks like a terminal, so that a C library writes each line when it
/// ends. Otherwise the library would keep lines in a buffer that a reactor never flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(not(all(feature = "dirs", unix)), expect(dead_code, reason = "most are types of files"))]
pub(crate) enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl FileType {
    /// Returns the number, as records store it.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

/// What `fd_fdstat_get` tells of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fdstat {
    pub(crate) file_type: FileType,
    pub(crate) flags: u16,
    pub(crate) rights: u64,
    pub(crate) inheriting: u64,
}

impl Fdstat {
    /// Returns the `fdstat` of a standard stream with these rights.
    pub(crate) const fn of_stream(rights: u64) -> Fdstat {
        Fdstat { file_type: FileType::CharacterDevice, flags: 0, rights, inheriting: rights }
    }

    pub(crate) fn store(self, guest: &mut [u8], pointer: u64) -> Result<(), OutOfBounds> {
        memory::span(guest, pointer, 24)?.fill(0);
        memory::store(guest, pointer, &[self.file_type.code()])?;
        memory::store(guest, pointer.saturating_add(2), &self.flags.to_le_bytes())?;
        memory::store_u64(guest, pointer.saturating_add(8), self.rights)?;
        memory::store_u64(guest, pointer.saturating_add(16), self.inheriting)
    }
}

/// What `fd_filestat_get` and `path_filestat_get` tell of a file. Times are nanoseconds since the
/// Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filestat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) file_type: FileType,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) changed: u64,
}

impl Filestat {
    /// The `filestat` of a standard stream: everything but the type is zero.
    pub(crate) const STREAM: Filestat = Filestat {
        device: 0,
        inode: 0,
        file_type: FileType::CharacterDevice,
        links: 0,
        size: 0,
        accessed: 0,
        modified: 0,
        changed: 0,
    };

    /// Returns the size of the record in bytes.
    pub(crate) const fn size(abi: Abi) -> u64 {
        match abi {
            Abi::Preview1 => 64,
            Abi::Preview0 => 56,
        }
    }

    pub(crate) fn store(self, guest: &mut [u8], pointer: u64, abi: Abi) -> Result<(), OutOfBounds> {
        memory::span(guest, pointer, Self::size(abi))?.fill(0);
        let at = |offset: u64| pointer.saturating_add(offset);
        memory::store_u64(guest, at(0), self.device)?;
        memory::store_u64(guest, at(8), self.inode)?;
        memory::store(guest, at(16), &[self.file_type.code()])?;
        let rest = match abi {
            Abi::Preview1 => {
                memory::store_u64(guest, at(24), self.links)?;
                32
            }
            Abi::Preview0 => {
                memory::store_u32(guest, at(20), u32::try_from(self.links).unwrap_or(u32::MAX))?;
                24
            }
        };
        memory::store_u64(guest, at(rest), self.size)?;
        memory::store_u64(guest, at(rest + 8), self.accessed)?;
        memory::store_u64(guest, at(rest + 16), self.modified)?;
        memory::store_u64(guest, at(rest + 24), self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fdstat_is_24_bytes() {
        let mut guest = [0xaa; 32];
        Fdstat::of_stream(0x40).store(&mut guest, 4).expect("inside");
        let mut expected = [0xaa; 32];
        expected[4..28].fill(0);
        expected[4] = 2;
        expected[12] = 0x40;
        expected[20] = 0x40;
        assert_eq!(guest, expected);
    }

    #[test]
    fn a_filestat_is_64_bytes_and_was_56() {
        for (abi, size) in [(Abi::Preview1, 64), (Abi::Preview0, 56)] {
            let mut guest = [0xaa; 72];
            Filestat::STREAM.store(&mut guest, 0, abi).expect("inside");
            let mut expected = [0xaa; 72];
            expected[..size].fill(0);
            expected[16] = 2;
            assert_eq!(guest, expected);
        }
    }

    #[test]
    fn the_fields_of_a_filestat_follow_each_other() {
        let stat = Filestat {
            device: 1,
            inode: 2,
            file_type: FileType::RegularFile,
            links: 3,
            size: 4,
            accessed: 5,
            modified: 6,
            changed: 7,
        };
        let mut guest = [0; 64];
        stat.store(&mut guest, 0, Abi::Preview1).expect("inside");
        let fields: Vec<u8> = guest.chunks(8).map(|field| field[0]).collect();
        assert_eq!(fields, [1, 2, 4, 3, 4, 5, 6, 7]);
        stat.store(&mut guest, 0, Abi::Preview0).expect("inside");
        let fields: Vec<u8> = guest.chunks(8).map(|field| field[0]).take(7).collect();
        assert_eq!((fields, guest[20]), (vec![1, 2, 4, 4, 5, 6, 7], 3));
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_memory_alone() {
        let mut guest = [0xaa; 60];
        assert!(Filestat::STREAM.store(&mut guest, 0, Abi::Preview1).is_err());
        assert_eq!(guest, [0xaa; 60]);
    }
}
