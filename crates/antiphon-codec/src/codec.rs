use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{DecodeError, EncodeError};

/// A format that encodes values as bytes and decodes them again.
///
/// Implemented by [`MessagePack`](crate::MessagePack) and [`Json`](crate::Json), and by whatever
/// else two sides of a call agree on. An implementation needs a name and the two directions; it
/// makes its errors with [`EncodeError::new`] and [`DecodeError::new`].
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
    /// Returns what the codec is called, in lower case: `msgpack`, `json`.
    fn name(&self) -> &'static str;

    /// Appends the encoded `value` to `out`, and keeps what `out` holds already. After an error,
    /// the appended bytes are unspecified.
    ///
    /// # Errors
    ///
    /// The format cannot represent the value, or the value's own `Serialize` failed.
    fn encode_into<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Decodes the single value that `bytes` hold. If the type can borrow, text and bytes that the
    /// format stores unchanged are borrowed instead of copied.
    ///
    /// `bytes` may be hostile. The time and memory that an implementation uses must depend on the
    /// number of bytes, not on their content.
    ///
    /// # Errors
    ///
    /// `bytes` are not a value of the format, or not one of type `T`: see
    /// [`DecodeErrorKind`](crate::DecodeErrorKind).
    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, DecodeError>;

    /// Encodes `value` into a new vector.
    ///
    /// # Errors
    ///
    /// Those of [`encode_into`](Self::encode_into).
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.encode_into(value, &mut out)?;
        Ok(out)
    }
}
