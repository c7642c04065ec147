//! The input of a decoding.

use super::fault::Fault;
use super::header::Header;
use crate::DecodeErrorKind;

/// Bytes, and how many of them have been read.
pub(super) struct Input<'de> {
    bytes: &'de [u8],
    at: usize,
}

impl<'de> Input<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the number of bytes that have been read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Moves back to an earlier position.
    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Reads the next `length` bytes.
    pub(super) fn take(&mut self, length: u32) -> Result<&'de [u8], Fault> {
        let taken = usize::try_from(length).ok().and_then(|length| {
            let end = self.at.checked_add(length)?;
            Some((self.bytes.get(self.at..end)?, end))
        });
        let Some((taken, end)) = taken else { return Err(self.truncated(length, "bytes")) };
        self.at = end;
        Ok(taken)
    }

    /// Reads the next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let Some(&byte) = self.bytes.get(self.at) else { return Err(self.truncated(1, "bytes")) };
        self.at += 1;
        Ok(byte)
    }

    /// Reads a big-endian number of `bytes` bytes, at most eight.
    #[inline(never)]
    pub(super) fn number(&mut self, bytes: u32) -> Result<u64, Fault> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads a nil if one is next, and returns whether it did.
    pub(super) fn take_nil(&mut self) -> bool {
        let is_nil = self.bytes.get(self.at) == Some(&0xc0);
        self.at += usize::from(is_nil);
        is_nil
    }

    /// Refuses a number of entries that the rest of the input cannot hold, given that each of an
    /// entry's values takes at least a byte. Called before anything is allocated for the entries.
    pub(super) fn has_entries(&self, length: u32, values: usize) -> Result<(), Fault> {
        let most = self.left().checked_div(values).unwrap_or(0);
        match usize::try_from(length) {
            Ok(length) if length <= most => Ok(()),
            _ => Err(self.truncated(length, "entries")),
        }
    }

    /// Skips one value of any depth, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let mut pending = 1_u64;
        while pending > 0 {
            pending -= 1;
            match Header::read(self)? {
                Header::Str(length) | Header::Bin(length) => drop(self.take(length)?),
                Header::Ext(length) => {
                    self.byte()?;
                    self.take(length)?;
                }
                Header::Array(length) => pending = pending.saturating_add(length.into()),
                Header::Map(length) => pending = pending.saturating_add(u64::from(length) * 2),
                _ => {}
            }
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn truncated(&self, wanted: u32, what: &str) -> Fault {
        let detail = format_args!("the input ends, expected {wanted} {what} more, found {}", self.left());
        Fault::new(DecodeErrorKind::Truncated, detail).at(self.bytes.len())
    }
}
