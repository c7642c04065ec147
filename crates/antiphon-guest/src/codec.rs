//! Wrappers that decode payloads and encode answers.

use alloc::vec::Vec;

use antiphon_codec::{Codec, DecodeError};
use serde::{Deserialize, Serialize};

use crate::answer::{Answered, IntoResponse};
use crate::request::FromRequest;

/// Defines a tuple struct with the codec's name that wraps a payload or an answer.
macro_rules! wrapper {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name<T>(pub T);

        impl<'a, T: Deserialize<'a>> FromRequest<'a> for $name<T> {
            type Error = DecodeError;

            fn from_request(payload: &'a [u8]) -> Result<Self, DecodeError> {
                antiphon_codec::$name.decode(payload).map(Self)
            }
        }

        impl<T: Serialize> IntoResponse for $name<T> {
            fn respond(self) -> Answered {
                let mut bytes = Vec::new();
                match antiphon_codec::$name.encode_into(&self.0, &mut bytes) {
                    Ok(()) => Answered::success(&bytes),
                    Err(error) => Answered::failure(&error),
                }
            }
        }
    };
}

#[cfg(feature = "json")]
wrapper! {
    /// A payload that is decoded from JSON, or an answer that is encoded as JSON.
    ///
    /// ```
    /// use antiphon_guest::{Json, operation, operations};
    ///
    /// #[operation]
    /// fn add(Json((a, b)): Json<(u32, u32)>) -> Json<u32> {
    ///     Json(a + b)
    /// }
    ///
    /// operations![add];
    /// # wapc_init();
    /// # use antiphon_guest::testing::call;
    /// # assert_eq!(call("add", b"[1, 2]").unwrap(), b"3");
    /// # assert_eq!(call("add", b"[1, -2]").unwrap_err(),
    /// #     "json not decoded: at byte 5, in field [1]: invalid value: integer `-2`, expected u32");
    /// ```
    Json
}

#[cfg(feature = "messagepack")]
wrapper! {
    /// A payload that is decoded from MessagePack, or an answer that is encoded as MessagePack.
    ///
    /// Text and bytes of the payload can be borrowed.
    ///
    /// ```
    /// use antiphon_guest::{MessagePack, operation, operations};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize)]
    /// struct Person<'a> {
    ///     name: &'a str,
    /// }
    ///
    /// #[derive(Serialize)]
    /// struct Greeting {
    ///     text: String,
    /// }
    ///
    /// #[operation]
    /// fn greet(MessagePack(person): MessagePack<Person<'_>>) -> MessagePack<Greeting> {
    ///     MessagePack(Greeting { text: format!("hello, {}", person.name) })
    /// }
    ///
    /// operations![greet];
    /// # wapc_init();
    /// # use antiphon_guest::testing::call;
    /// # assert_eq!(call("greet", b"\x81\xa4name\xa3Ada").unwrap(), b"\x81\xa4text\xaahello, Ada");
    /// ```
    MessagePack
}
