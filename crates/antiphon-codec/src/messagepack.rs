//! MessagePack, as waPC's SDKs write it.
//!
//! The codec is this crate's own. `rmp-serde` needs the standard library, its errors do not say
//! where they occurred, and its limit of depth does not count enums, which a guest's bytes can nest
//! until the stack ends. Tests compare the encoded bytes with those of `rmp-serde`, for values of
//! every kind.

mod decode;
mod encode;
mod fault;
mod header;
mod input;
mod path;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Codec, DecodeError, EncodeError};
use decode::Decoder;
use encode::Encoder;

/// The name of the codec, also in its errors.
const NAME: &str = "msgpack";

/// MessagePack as waPC's SDKs write it: a struct is a map keyed by field names, and an enum variant
/// is written by its name.
///
/// The bytes equal those of `rmp-serde` with `with_struct_map`, which `wapc-codec` uses. A struct
/// is also decoded from an array, in the order of its fields. Strings and binaries are borrowed if
/// the type can borrow. Extension types are decoded, as a pair of tag and bytes, but never encoded.
/// ```
/// use antiphon_codec::{Codec, DecodeErrorKind, MessagePack};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Person<'a> {
///     name: &'a str,
///     age: u8,
/// }
///
/// let bytes = MessagePack.encode(&Person { name: "Ada", age: 36 }).unwrap();
/// assert_eq!(bytes, b"\x82\xa4name\xa3Ada\xa3age\x24");
/// let person: Person = MessagePack.decode(&bytes).unwrap();
/// assert_eq!(person.name, "Ada");
///
/// let error = MessagePack.decode::<Person>(b"\x82\xa4name\xa3Ada\xa3age\xc0").unwrap_err();
/// assert_eq!((error.kind(), error.offset(), error.field()), (DecodeErrorKind::Mismatch, 14, Some("age")));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagePack;

impl Codec for MessagePack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode_into<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        value.serialize(&mut Encoder { out }).map_err(|fault| EncodeError::new(NAME, fault.detail))
    }

    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let decoded = T::deserialize(&mut decoder).and_then(|value| decoder.end().map(|()| value));
        decoded.map_err(|fault| fault.into_error(NAME, bytes))
    }
}
