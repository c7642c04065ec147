//! The name of the running operation, in a buffer that is reused.

use alloc::vec::Vec;

use crate::memory::copy;

/// The name of an operation. It is kept as bytes and not as a `String`, because bytes can be
/// overwritten in place without the call of a copy.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    /// As long as the longest name so far.
    bytes: Vec<u8>,
    len: usize,
}

impl Operation {
    #[inline(always)]
    pub(crate) fn set(&mut self, name: &str) {
        let name = name.as_bytes();
        if name.len() > self.bytes.len() {
            self.bytes.resize(name.len(), 0);
        }
        self.len = name.len();
        if let Some(bytes) = self.bytes.get_mut(..name.len()) {
            copy(bytes, name);
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the name as text. UTF-8 is checked again here; nothing on the path of a call uses
    /// this method.
    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_over_the_one_before_whatever_their_lengths() {
        let mut operation = Operation::default();
        let long = "0123456789abcdef-0123456789abcdef";
        for first in 0..=long.len() {
            for second in 0..=long.len() {
                let name = long.split_at(second).1;
                operation.set(long.split_at(first).0);
                operation.set(name);
                assert_eq!((operation.as_str(), operation.len()), (name, name.len()));
            }
        }
        operation.set("gr\u{fc}\u{df}e");
        assert_eq!(operation.as_str(), "gr\u{fc}\u{df}e");
    }
}
