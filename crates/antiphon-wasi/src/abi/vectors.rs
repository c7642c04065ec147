//! Lists of buffers, as `fd_read` and `fd_write` take them.

use super::memory::{self, wide};
use super::{Errno, Failure};

/// The largest number of buffers of one read or write. More are refused with `EINVAL`, as in Linux.
pub const MAX_VECTORS: u32 = 1024;

/// A list of buffers that are all inside of the memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vectors {
    pointer: u64,
    count: u64,
    total: u32,
}

impl Vectors {
    /// Checks a list: its length, each buffer, and that the guest can be told the sum of their
    /// lengths.
    pub(crate) fn check(guest: &[u8], pointer: i32, count: i32) -> Result<Vectors, Failure> {
        let (pointer, count) = (wide(pointer), wide(count));
        if count > u64::from(MAX_VECTORS) {
            return Err(Errno::Inval.into());
        }
        memory::view(guest, pointer, count.saturating_mul(8))?;
        let mut total = 0_u32;
        for index in 0..count {
            let (buffer, length) = entry(guest, pointer, index)?;
            memory::view(guest, buffer, u64::from(length))?;
            total = total.checked_add(length).ok_or(Errno::Inval)?;
        }
        Ok(Vectors { pointer, count, total })
    }

    /// Returns the sum of the buffers' lengths, in bytes.
    pub(crate) fn total(self) -> u32 {
        self.total
    }

    /// Returns the buffers in order.
    pub(crate) fn buffers(self, guest: &[u8]) -> impl Iterator<Item = Result<&[u8], Failure>> {
        (0..self.count).map(move |index| {
            let (buffer, length) = entry(guest, self.pointer, index)?;
            Ok(memory::view(guest, buffer, u64::from(length))?)
        })
    }
}

#[cfg(feature = "dirs")]
impl Vectors {
    /// Returns pointers and lengths of the buffers that are not empty, in order.
    pub(crate) fn spans(self, guest: &[u8]) -> Result<Vec<(u64, u32)>, Failure> {
        let mut spans = Vec::new();
        for index in 0..self.count {
            let (buffer, length) = entry(guest, self.pointer, index)?;
            if length > 0 {
                spans.push((buffer, length));
            }
        }
        Ok(spans)
    }
}

/// Returns pointer and length of one buffer.
fn entry(guest: &[u8], list: u64, index: u64) -> Result<(u64, u32), Failure> {
    let at = list.saturating_add(index.saturating_mul(8));
    let buffer = u64::from(memory::load_u32(guest, at)?);
    Ok((buffer, memory::load_u32(guest, at.saturating_add(4))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u32, u32)]) -> Vec<u8> {
        let mut guest: Vec<u8> =
            entries.iter().flat_map(|(at, len)| [at.to_le_bytes(), len.to_le_bytes()].concat()).collect();
        guest.extend(*b"0123456789abcdef");
        guest
    }

    #[test]
    fn buffers_come_in_order() {
        let guest = list(&[(18, 2), (0xffff_ffff, 0), (16, 3)]);
        let guest = [&guest[..], &[0; 8]].concat();
        let vectors = Vectors::check(&guest, 0, 3).expect("inside");
        assert_eq!(vectors.total(), 5);
        let buffers: Vec<_> = vectors.buffers(&guest).map(|buffer| buffer.expect("inside").len()).collect();
        assert_eq!(buffers, [2, 0, 3]);
        #[cfg(feature = "dirs")]
        assert_eq!(vectors.spans(&guest).expect("inside"), [(18, 2), (16, 3)]);
    }

    #[test]
    fn one_buffer_too_many_is_invalid() {
        let count = MAX_VECTORS.cast_signed();
        assert_eq!(Vectors::check(&[0; 8 * 1025], 0, count).expect("inside").total(), 0);
        assert_eq!(Vectors::check(&[0; 8 * 1025], 0, count + 1).err(), Some(Errno::Inval.into()));
        assert_eq!(Vectors::check(&[], 0, -1).err(), Some(Errno::Inval.into()));
    }

    #[test]
    fn a_buffer_outside_of_memory_is_found_before_any_is_used() {
        let guest = list(&[(0, 4), (4, 0xffff_ffff)]);
        assert!(matches!(Vectors::check(&guest, 0, 2), Err(Failure::OutOfBounds(span)) if span.pointer == 4));
        assert!(matches!(Vectors::check(&guest, -8, 1), Err(Failure::OutOfBounds(_))));
    }
}
