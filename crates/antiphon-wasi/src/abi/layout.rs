//! The records that the functions write, byte by byte.

use super::Abi;
use super::memory::{self, OutOfBounds};

/// The file type of a character device, for standard streams.
///
/// Wasmtime reports 'unknown' for a stream that is not a terminal. Here each stream looks like a
/// terminal, so that a C library writes each line when it ends. Otherwise the library would keep
/// lines in a buffer that a reactor never flushes.
const CHARACTER_DEVICE: u8 = 2;

/// Writes the `fdstat` of a standard stream with these rights.
pub(crate) fn store_fdstat(guest: &mut [u8], pointer: u64, rights: u64) -> Result<(), OutOfBounds> {
    memory::span(guest, pointer, 24)?.fill(0);
    memory::store(guest, pointer, &[CHARACTER_DEVICE])?;
    memory::store_u64(guest, pointer.saturating_add(8), rights)?;
    memory::store_u64(guest, pointer.saturating_add(16), rights)
}

/// Writes the `filestat` of a standard stream: a character device, everything else zero.
pub(crate) fn store_filestat(guest: &mut [u8], pointer: u64, abi: Abi) -> Result<(), OutOfBounds> {
    let size = match abi {
        Abi::Preview1 => 64,
        Abi::Preview0 => 56,
    };
    memory::span(guest, pointer, size)?.fill(0);
    // In both layouts it follows the device and the inode, 8 bytes each.
    memory::store(guest, pointer.saturating_add(16), &[CHARACTER_DEVICE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fdstat_is_24_bytes() {
        let mut guest = [0xaa; 32];
        store_fdstat(&mut guest, 4, 0x40).expect("inside");
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
            store_filestat(&mut guest, 0, abi).expect("inside");
            let mut expected = [0xaa; 72];
            expected[..size].fill(0);
            expected[16] = 2;
            assert_eq!(guest, expected);
        }
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_memory_alone() {
        let mut guest = [0xaa; 60];
        assert!(store_filestat(&mut guest, 0, Abi::Preview1).is_err());
        assert_eq!(guest, [0xaa; 60]);
    }
}
