//! Arguments and environment, in the form in which guests read them.

use std::fmt;

use crate::abi::{Failure, memory};

/// The most memory that arguments and environment may take together in the guest, in bytes: every
/// string with its NUL, and a pointer of 4 bytes to each.
pub const MAX_STRINGS: usize = 1 << 20;

/// Why a world cannot be made from these arguments and this environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorldError {
    /// A string contains a NUL, which would end it early in the guest.
    InteriorNul {
        /// The string as given (`name=value` for a variable of the environment).
        text: String,
    },
    /// A variable's name is empty or contains `=`, so the guest would read another variable.
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// Arguments and environment together take more than [`MAX_STRINGS`] bytes.
    TooLarge,
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorldError::InteriorNul { text } => write!(f, "argument or variable {text:?} contains a NUL"),
            WorldError::InvalidName { name } => {
                write!(f, "environment variable's name {name:?} is empty or contains '='")
            }
            WorldError::TooLarge => {
                write!(f, "arguments and environment take more than {MAX_STRINGS} bytes together")
            }
        }
    }
}

impl std::error::Error for WorldError {}

/// A list of NUL-terminated strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    /// All strings, one after the other, each with its NUL.
    bytes: Vec<u8>,
    /// Where each string begins in `bytes`.
    starts: Vec<u32>,
}

impl Strings {
    /// Appends the concatenation of `parts` as one string.
    pub(crate) fn push(&mut self, parts: &[&str], room: &mut usize) -> Result<(), WorldError> {
        if parts.iter().any(|part| part.contains('\0')) {
            return Err(WorldError::InteriorNul { text: parts.concat() });
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let cost = length.saturating_add(5);
        *room = room.checked_sub(cost).ok_or(WorldError::TooLarge)?;
        self.starts.push(u32::try_from(self.bytes.len()).map_err(|_| WorldError::TooLarge)?);
        self.bytes.extend(parts.iter().flat_map(|part| part.bytes()).chain([0]));
        Ok(())
    }

    /// Writes the number of strings, and how many bytes they take.
    pub(crate) fn sizes(&self, guest: &mut [u8], count: u64, size: u64) -> Result<(), Failure> {
        memory::span(guest, size, 4)?;
        // `MAX_STRINGS` bounds both.
        memory::store_u32(guest, count, u32::try_from(self.starts.len()).unwrap_or(u32::MAX))?;
        memory::store_u32(guest, size, u32::try_from(self.bytes.len()).unwrap_or(u32::MAX))?;
        Ok(())
    }

    /// Writes the strings to `buffer`, and pointers to them to `pointers`.
    pub(crate) fn write(&self, guest: &mut [u8], pointers: u64, buffer: u32) -> Result<(), Failure> {
        let count = u64::try_from(self.starts.len()).unwrap_or(u64::MAX);
        memory::span(guest, pointers, count.saturating_mul(4))?;
        // The strings are written first. If they fit, no pointer to one of them can wrap.
        memory::store(guest, u64::from(buffer), &self.bytes)?;
        let mut at = pointers;
        for start in &self.starts {
            memory::store_u32(guest, at, buffer.saturating_add(*start))?;
            at = at.saturating_add(4);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&[&str]]) -> Strings {
        let mut strings = Strings::default();
        let mut room = MAX_STRINGS;
        for parts in list {
            strings.push(parts, &mut room).expect("small and free of NUL");
        }
        strings
    }

    #[test]
    fn strings_and_pointers_lie_as_a_c_library_expects() {
        let strings = strings(&[&["a"], &["K", "=", "v"]]);
        let mut guest = [0xff; 24];
        strings.sizes(&mut guest, 0, 4).expect("inside");
        assert_eq!(guest[..8], [2, 0, 0, 0, 6, 0, 0, 0]);
        strings.write(&mut guest, 8, 16).expect("inside");
        assert_eq!(guest[8..16], [16, 0, 0, 0, 18, 0, 0, 0]);
        assert_eq!(&guest[16..22], b"a\0K=v\0");
        assert_eq!(guest[22..], [0xff; 2]);
    }

    #[test]
    fn strings_that_do_not_fit_are_a_fault() {
        let strings = strings(&[&["abc"]]);
        let mut guest = [0; 8];
        assert!(matches!(strings.write(&mut guest, 0, 5), Err(Failure::OutOfBounds(s)) if s.pointer == 5));
        assert!(matches!(strings.write(&mut guest, 6, 0), Err(Failure::OutOfBounds(s)) if s.pointer == 6));
        assert!(matches!(strings.sizes(&mut guest, 0, 5), Err(Failure::OutOfBounds(s)) if s.pointer == 5));
        assert_eq!(guest, [0; 8]);
    }

    #[test]
    fn an_empty_list_writes_nothing_wherever_it_points() {
        let mut guest = [0xff; 4];
        assert_eq!(Strings::default().write(&mut guest, 0xffff_ffff, u32::MAX), Ok(()));
        assert_eq!(guest, [0xff; 4]);
    }

    #[test]
    fn the_room_counts_the_nul_and_the_pointer() {
        let mut strings = Strings::default();
        let mut room = 8;
        assert_eq!(strings.push(&["abcd"], &mut room), Err(WorldError::TooLarge));
        assert_eq!(strings.push(&["abc"], &mut room), Ok(()));
        assert_eq!(room, 0);
        assert_eq!(strings.push(&[""], &mut room), Err(WorldError::TooLarge));
    }
}
