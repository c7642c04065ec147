//! The one door to the guest's memory.
//!
//! Pointers and lengths are 64-bit values here. A guest's 32-bit values are widened before anything
//! is added to them, so the sum of a pointer and the size of an array cannot wrap.

use std::ops::Range;

/// A span that is outside of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfBounds {
    pub(crate) pointer: u64,
    pub(crate) length: u64,
    pub(crate) memory: u64,
}

/// Widens a pointer, a length, or another unsigned 32-bit value that arrives as a wasm `i32`.
pub(crate) fn wide(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

/// Returns where a span lies, if it is inside of the memory. An empty span always is, whatever its
/// pointer.
fn range(memory: &[u8], pointer: u64, length: u64) -> Result<Range<usize>, OutOfBounds> {
    if length == 0 {
        return Ok(0..0);
    }
    let inside = || {
        let end = pointer.checked_add(length)?;
        let range = usize::try_from(pointer).ok()?..usize::try_from(end).ok()?;
        (range.end <= memory.len()).then_some(range)
    };
    inside().ok_or_else(|| out_of_bounds(memory, pointer, length))
}

fn out_of_bounds(memory: &[u8], pointer: u64, length: u64) -> OutOfBounds {
    // The size of every memory fits 64 bits.
    OutOfBounds { pointer, length, memory: u64::try_from(memory.len()).unwrap_or(u64::MAX) }
}

/// Returns the bytes of a span, for reading.
pub(crate) fn view(memory: &[u8], pointer: u64, length: u64) -> Result<&[u8], OutOfBounds> {
    let range = range(memory, pointer, length)?;
    memory.get(range).ok_or_else(|| out_of_bounds(memory, pointer, length))
}

/// Returns the bytes of a span, for writing.
pub(crate) fn span(memory: &mut [u8], pointer: u64, length: u64) -> Result<&mut [u8], OutOfBounds> {
    // Checked first, because the borrow checker refuses a mutable borrow that is returned on one
    // path only.
    let range = range(memory, pointer, length)?;
    let failure = out_of_bounds(memory, pointer, length);
    memory.get_mut(range).ok_or(failure)
}

/// Reads `N` bytes.
fn load<const N: usize>(memory: &[u8], pointer: u64) -> Result<[u8; N], OutOfBounds> {
    // `N` is at most 8.
    let length = u64::try_from(N).unwrap_or(u64::MAX);
    view(memory, pointer, length)?.try_into().map_err(|_| out_of_bounds(memory, pointer, length))
}

/// Reads one byte.
pub(crate) fn load_u8(memory: &[u8], pointer: u64) -> Result<u8, OutOfBounds> {
    load(memory, pointer).map(u8::from_le_bytes)
}

/// Reads a little-endian 16-bit value.
pub(crate) fn load_u16(memory: &[u8], pointer: u64) -> Result<u16, OutOfBounds> {
    load(memory, pointer).map(u16::from_le_bytes)
}

/// Reads a little-endian 32-bit value.
pub(crate) fn load_u32(memory: &[u8], pointer: u64) -> Result<u32, OutOfBounds> {
    load(memory, pointer).map(u32::from_le_bytes)
}

/// Reads a little-endian 64-bit value.
pub(crate) fn load_u64(memory: &[u8], pointer: u64) -> Result<u64, OutOfBounds> {
    load(memory, pointer).map(u64::from_le_bytes)
}

/// Writes all bytes, or none if the span is outside of the memory.
pub(crate) fn store(memory: &mut [u8], pointer: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    span(memory, pointer, length)?.copy_from_slice(bytes);
    Ok(())
}

/// Writes a little-endian 32-bit value.
pub(crate) fn store_u32(memory: &mut [u8], pointer: u64, value: u32) -> Result<(), OutOfBounds> {
    store(memory, pointer, &value.to_le_bytes())
}

/// Writes a little-endian 64-bit value.
pub(crate) fn store_u64(memory: &mut [u8], pointer: u64, value: u64) -> Result<(), OutOfBounds> {
    store(memory, pointer, &value.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_inside_up_to_the_last_byte() {
        let mut memory = [0; 16];
        assert_eq!(span(&mut memory, 8, 8).map(|bytes| bytes.len()), Ok(8));
        assert_eq!(span(&mut memory, 8, 9), Err(OutOfBounds { pointer: 8, length: 9, memory: 16 }));
        assert_eq!(span(&mut memory, 16, 1), Err(OutOfBounds { pointer: 16, length: 1, memory: 16 }));
    }

    #[test]
    fn an_empty_span_is_inside_whatever_its_pointer() {
        assert_eq!(view(&[], u64::MAX, 0), Ok(&[][..]));
        assert_eq!(span(&mut [0; 4], 0xffff_ffff, 0), Ok(&mut [][..]));
    }

    #[test]
    fn nothing_wraps() {
        let memory = [0; 16];
        for (pointer, length) in [(u64::MAX, 1), (1, u64::MAX), (0xffff_ffff, 0xffff_ffff), (0xffff_ffff, 2)]
        {
            assert_eq!(view(&memory, pointer, length), Err(OutOfBounds { pointer, length, memory: 16 }));
        }
        assert_eq!(wide(-1), 0xffff_ffff);
    }

    #[test]
    fn values_are_little_endian_and_stores_are_all_or_nothing() {
        let mut memory = [0; 8];
        store_u64(&mut memory, 0, 0x0807_0605_0403_0201).expect("inside");
        assert_eq!(memory, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(load_u16(&memory, 1), Ok(0x0302));
        assert_eq!(load_u32(&memory, 4), Ok(0x0807_0605));
        assert!(store_u32(&mut memory, 5, 0).is_err());
        assert_eq!(memory, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
