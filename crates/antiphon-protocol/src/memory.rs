//! The one checked door to guest memory. Nothing else in this crate turns a guest's pointer into a
//! slice, except `text.rs` for AssemblyScript's strings.

use crate::violation::{MemoryFault, Violation};

/// A pointer and a length as a guest passed them. They can have any value until [`read`] or
/// [`write()`] has checked them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The offset of the first byte.
    pub ptr: u32,
    /// The number of bytes.
    pub len: u32,
}

impl Span {
    /// Takes two wasm `i32` values as the unsigned numbers that they stand for.
    #[must_use]
    pub const fn new(ptr: i32, len: i32) -> Self {
        Self { ptr: ptr.cast_unsigned(), len: len.cast_unsigned() }
    }

    /// Returns the offsets of the first byte and of the byte after the last. They are added in 64
    /// bits, so they cannot overflow.
    fn bounds(self) -> Option<(usize, usize)> {
        let end = u64::from(self.ptr).checked_add(u64::from(self.len))?;
        Some((usize::try_from(self.ptr).ok()?, usize::try_from(end).ok()?))
    }

    #[cold]
    fn fault(self, import: &'static str, memory: &[u8]) -> Violation {
        let memory_size = memory.len().try_into().unwrap_or(u64::MAX);
        Violation::Memory(MemoryFault { import, span: self, memory_size })
    }
}

/// Returns the bytes of a span. An empty span is valid whatever its pointer is, and is never
/// dereferenced.
///
/// # Errors
/// [`Violation::Memory`], with the import's name, if the span is not inside of the memory.
#[inline]
pub fn read<'m>(memory: &'m [u8], span: Span, import: &'static str) -> Result<&'m [u8], Violation> {
    if span.len == 0 {
        return Ok(&[]);
    }
    match span.bounds() {
        Some((start, end)) => memory.get(start..end).ok_or_else(|| span.fault(import, memory)),
        None => Err(span.fault(import, memory)),
    }
}

/// Copies bytes to a pointer. The pointer may be invalid if there are no bytes.
///
/// # Errors
/// [`Violation::Memory`], with the import's name, if the bytes would not lie inside of the memory.
/// Nothing is written then.
#[inline]
pub fn write(memory: &mut [u8], ptr: i32, bytes: &[u8], import: &'static str) -> Result<(), Violation> {
    if bytes.is_empty() {
        return Ok(());
    }
    let (ptr, len) = (ptr.cast_unsigned(), bytes.len());
    let start = usize::try_from(ptr).ok();
    let span = start.and_then(|start| Some(start..start.checked_add(len)?));
    match span.and_then(|span| memory.get_mut(span)) {
        Some(target) => {
            copy(target, bytes);
            Ok(())
        }
        None => Err(Span { ptr, len: u32::try_from(len).unwrap_or(u32::MAX) }.fault(import, memory)),
    }
}

/// Copies bytes over the same number of bytes. A short name is copied by its two ends, which may
/// overlap. That is three times as fast as a call of a copy with unknown length.
#[inline(always)]
pub(crate) fn copy(target: &mut [u8], source: &[u8]) {
    match source.len() {
        4..8 => copy_ends::<4>(target, source),
        8..=16 => copy_ends::<8>(target, source),
        _ => target.copy_from_slice(source),
    }
}

#[inline(always)]
fn copy_ends<const N: usize>(target: &mut [u8], source: &[u8]) {
    if let (Some(to), Some(from)) = (target.first_chunk_mut::<N>(), source.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (target.last_chunk_mut::<N>(), source.last_chunk::<N>()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault<T: core::fmt::Debug>(result: Result<T, Violation>) -> MemoryFault {
        match result.unwrap_err() {
            Violation::Memory(fault) => fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_span_at_the_very_end_is_inside_and_one_byte_more_is_not() {
        let memory = [7u8; 8];
        assert_eq!(read(&memory, Span::new(4, 4), "i").unwrap(), &[7; 4]);
        let fault = fault(read(&memory, Span::new(4, 5), "i"));
        assert_eq!((fault.import, fault.span, fault.memory_size), ("i", Span { ptr: 4, len: 5 }, 8));
    }

    #[test]
    fn negative_values_are_large_unsigned_ones_and_never_wrap() {
        let memory = [0u8; 8];
        for span in [Span::new(-1, 1), Span::new(1, -1), Span::new(-1, -1), Span::new(i32::MIN, i32::MIN)] {
            assert_eq!(fault(read(&memory, span, "i")).span, span);
        }
        assert_eq!(fault(write(&mut [0; 8], -4, b"12345678", "i")).span.ptr, 0xffff_fffc);
    }

    #[test]
    fn an_empty_span_is_valid_whatever_its_pointer() {
        assert_eq!(read(&[], Span::new(-1, 0), "i"), Ok(&[][..]));
        assert_eq!(write(&mut [], -1, b"", "i"), Ok(()));
    }

    #[test]
    fn bytes_of_every_length_are_copied_whole() {
        let source: [u8; 40] = core::array::from_fn(|at| u8::try_from(at).unwrap() + 1);
        for len in 0..=40 {
            let mut memory = [0xee; 48];
            write(&mut memory, 3, &source[..len], "i").unwrap();
            assert_eq!(&memory[3..3 + len], &source[..len]);
            assert!(memory[..3].iter().chain(&memory[3 + len..]).all(|byte| *byte == 0xee), "{len}");
        }
    }

    #[test]
    fn a_refused_write_leaves_the_memory_as_it_was() {
        let mut memory = [1u8; 4];
        assert!(write(&mut memory, 2, b"abc", "i").is_err());
        assert_eq!(memory, [1; 4]);
    }
}
