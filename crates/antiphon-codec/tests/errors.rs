//! Errors as their readers see them, and the names of the codecs that are in them.

use antiphon_codec::{DecodeError, DecodeErrorKind, EncodeError};

#[test]
fn an_error_of_decoding_shows_each_of_its_parts() {
    let error = DecodeError::new("hex", DecodeErrorKind::Malformed, 7, "not read").in_field("a.b");
    assert_eq!(
        format!("{error:?}"),
        r#"DecodeError { codec: "hex", kind: Malformed, offset: 7, field: Some("a.b"), detail: "not read" }"#
    );
}

#[test]
fn an_error_of_encoding_keeps_its_codec_and_its_detail() {
    let error = EncodeError::new("hex", "no digits");
    assert_eq!((error.codec(), error.detail()), ("hex", "no digits"));
    assert_eq!(error.to_string(), "hex not encoded: no digits");
}

#[cfg(feature = "json")]
#[test]
fn the_errors_of_json_carry_its_name() {
    use antiphon_codec::{Codec, Json};

    assert_eq!(Json.name(), "json");
    assert_eq!(Json.decode::<u8>(b"true").map_err(|error| error.codec()), Err("json"));
}

#[cfg(feature = "messagepack")]
#[test]
fn the_errors_of_message_pack_carry_its_name() {
    use antiphon_codec::{Codec, MessagePack};

    assert_eq!(MessagePack.name(), "msgpack");
    assert_eq!(MessagePack.decode::<u8>(b"\xc3").map_err(|error| error.codec()), Err("msgpack"));
}
