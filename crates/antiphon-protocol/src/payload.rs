//! The payload of a call, in the forms in which a caller has it.

use alloc::vec::Vec;

use bytes::Bytes;

/// The payload of a call. Borrowed bytes are copied once into the conversation; owned ones are
/// moved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// Bytes of the caller, which are copied once into a buffer that the conversation reuses.
    Borrowed(&'a [u8]),
    /// A buffer that the caller gives away; it is not copied.
    Owned(Vec<u8>),
    /// Shared bytes; they are not copied.
    Shared(Bytes),
}

impl Payload<'_> {
    /// Returns the bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident, $convert:expr;)+) => {
        $(impl<'a> From<$type> for Payload<'a> {
            fn from(payload: $type) -> Self {
                Self::$variant($convert(payload))
            }
        })+
    };
}

from! {
    &'a [u8] => Borrowed, core::convert::identity;
    &'a Vec<u8> => Borrowed, Vec::as_slice;
    &'a str => Borrowed, str::as_bytes;
    Vec<u8> => Owned, core::convert::identity;
    Bytes => Shared, core::convert::identity;
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}
