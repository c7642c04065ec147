use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{DecodeError, EncodeError};

/// A way to write values as bytes, and to read them back.
///
/// Implemented by [`MessagePack`](crate::MessagePack) and [`Json`](crate::Json), and by whatever else two sides of a call
/// agree on. An implementation needs a name and the two directions; it makes its errors with
/// [`EncodeError::new`] and [`DecodeError::new`].
///
/// ```
/// # #[cfg(feature = "json")] {
/// use antiphon_codec::{Codec, Json};
///
/// fn round_trip<C: Codec>(codec: &C) -> Result<(u8, String), Box<dyn std::error::Error>> {
///     let bytes = codec.encode(&(7, "seven"))?;
///     Ok(codec.decode(&bytes)?)
/// }
/// assert_eq!(round_trip(&Json).unwrap(), (7, "seven".to_owned()));
/// # }
/// ```
pub trait Codec {
    /// What the codec is called, in lower case: `msgpack`, `json`.
    fn name(&self) -> &'static str;

    /// Appends the encoded `value` to `out`, whose contents stay. After an error, what was appended is unspecified.
    ///
    /// # Errors
    ///
    /// The format has no way to write the value, or the value's own `Serialize` failed.
    fn encode_into<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Reads the one value that `bytes` hold. What the format keeps as it is in memory is borrowed, not copied, where
    /// the type has a place for borrowed data.
    ///
    /// `bytes` may be anything. An implementation answers within time and memory that depend on how many bytes there
    /// are, not on what they say.
    ///
    /// # Errors
    ///
    /// `bytes` are no value of the format, or not one of type `T`: see [`DecodeErrorKind`](crate::DecodeErrorKind).
    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, DecodeError>;

    /// The encoded `value` in a vector of its own.
    ///
    /// # Errors
    ///
    /// As [`encode_into`](Self::encode_into).
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.encode_into(value, &mut out)?;
        Ok(out)
    }
}
