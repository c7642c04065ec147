//! MessagePack: encoded bytes equal those of `rmp-serde`, and any bytes decode to a value or a
//! typed error.
use std::collections::BTreeMap;
use std::fmt::Debug;

use antiphon_codec::{Codec, DecodeErrorKind, MAX_DEPTH, MessagePack};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Shape {
    Nothing,
    Circle(f64),
    Line(i32, i32),
    Box { width: u16, height: u64 },
    Group(Vec<Shape>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Copy)]
struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct New(i64);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Everything {
    flag: bool,
    small: i8,
    large: i64,
    unsigned: u64,
    wide: u128,
    narrow: i128,
    single: f32,
    letter: char,
    text: String,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    numbers: Vec<u8>,
    maybe: Option<String>,
    unit: (),
    empty: Unit,
    new: New,
    pair: (u8, String),
    map: BTreeMap<String, i32>,
    by_number: BTreeMap<i16, bool>,
    shapes: Vec<Shape>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        (-1e9..1e9).prop_map(Shape::Circle),
        any::<(i32, i32)>().prop_map(|(a, b)| Shape::Line(a, b)),
        any::<(u16, u64)>().prop_map(|(width, height)| Shape::Box { width, height }),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Shape::Group))
}

prop_compose! {
    fn everything()(
        (flag, small, large, unsigned, wide, narrow, letter) in any::<(bool, i8, i64, u64, u128, i128, char)>(),
        single in -1e9_f32..1e9,
        text in ".{0,300}",
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        numbers in prop::collection::vec(any::<u8>(), 0..40),
        maybe in prop::option::of(".{0,40}"),
        new in any::<i64>(),
        pair in any::<(u8, String)>(),
        map in prop::collection::btree_map(".{0,9}", any::<i32>(), 0..20),
        by_number in prop::collection::btree_map(any::<i16>(), any::<bool>(), 0..20),
        shapes in prop::collection::vec(shape(), 0..4),
    ) -> Everything {
        Everything {
            flag, small, large, unsigned, wide, narrow, single, letter, text, bytes, numbers, maybe, unit: (),
            empty: Unit, new: New(new), pair, map, by_number, shapes,
        }
    }
}

/// Encodes as `wapc-codec` does.
fn incumbent<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.serialize(&mut rmp_serde::Serializer::new(&mut out).with_struct_map()).unwrap();
    out
}

fn same_both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let ours = MessagePack.encode(value).unwrap();
    assert_eq!(ours, incumbent(value), "{value:?}");
    assert_eq!(&MessagePack.decode::<T>(&ours).unwrap(), value);
    assert_eq!(&rmp_serde::from_slice::<T>(&ours).unwrap(), value);
    // As arrays, because other users of rmp-serde encode structs that way.
    let arrays = rmp_serde::to_vec(value).unwrap();
    assert_eq!(&MessagePack.decode::<T>(&arrays).unwrap(), value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn values_of_every_kind_are_written_as_the_incumbent_does_and_read_again(value in everything()) {
        same_both_ways(&value);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error_within_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_many_types(&bytes);
    }

    #[test]
    fn a_valid_value_with_one_byte_changed_is_a_value_or_an_error(value in everything(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = MessagePack.encode(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_as_many_types(&bytes);
    }

    #[test]
    fn a_value_that_ends_early_is_truncated(value in everything(), at in any::<prop::sample::Index>()) {
        let bytes = MessagePack.encode(&value).unwrap();
        let cut = &bytes[..at.index(bytes.len())];
        let error = MessagePack.decode::<Everything>(cut).unwrap_err();
        prop_assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Truncated, cut.len()));
    }
}

/// Decodes bytes as types of every kind. A decoded value must encode to bytes that decode to it
/// again, and an error's offset must lie within the input.
fn read_as_many_types(bytes: &[u8]) {
    fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
        match MessagePack.decode::<T>(bytes) {
            Ok(value) => {
                let again = MessagePack.encode(&value).unwrap();
                let value: T = MessagePack.decode(&again).unwrap();
                assert_eq!(MessagePack.encode(&value).unwrap(), again);
                // The value uses all bytes and no more: one byte less is no value, and one byte
                // more is left over.
                if let Some((_, shorter)) = bytes.split_last() {
                    assert_eq!(
                        MessagePack.decode::<T>(shorter).err().unwrap().kind(),
                        DecodeErrorKind::Truncated
                    );
                }
                let longer = [bytes, &[0xc0]].concat();
                let error = MessagePack.decode::<T>(&longer).err().unwrap();
                assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Trailing, bytes.len()));
            }
            Err(error) => {
                assert!(error.offset() <= bytes.len(), "{error}");
                assert!(error.detail().len() <= 600);
                assert!(error.field().is_none_or(|field| field.len() <= 600));
                // A repeated decoding fails with an equal error.
                assert_eq!(MessagePack.decode::<T>(bytes).err(), Some(error));
            }
        }
    }
    read::<Everything>(bytes);
    read::<Shape>(bytes);
    read::<Vec<Shape>>(bytes);
    read::<BTreeMap<String, Vec<Option<i32>>>>(bytes);
    read::<serde_bytes::ByteBuf>(bytes);
    read::<(u128, i128)>(bytes);
    let _ = MessagePack.decode::<serde::de::IgnoredAny>(bytes);
    let _ = MessagePack.decode::<&str>(bytes);
}

#[test]
fn numbers_take_the_shortest_form_at_every_boundary() {
    for shift in 0..64 {
        for near in [-1_i64, 0, 1] {
            let unsigned = (1_u64 << shift).wrapping_add_signed(near);
            same_both_ways(&unsigned);
            same_both_ways(&unsigned.cast_signed());
            same_both_ways(&unsigned.cast_signed().wrapping_neg());
        }
    }
}

#[test]
fn lengths_take_the_shortest_form_at_every_boundary() {
    for length in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        same_both_ways(&"x".repeat(length));
        same_both_ways(&serde_bytes::ByteBuf::from(vec![7; length]));
        same_both_ways(&vec![true; length]);
        same_both_ways(&(0..length).map(|n| (n, ())).collect::<BTreeMap<_, _>>());
    }
}

#[test]
fn sequences_of_unknown_length_are_counted() {
    struct Evens(u32);
    impl Serialize for Evens {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..self.0).filter(|n| n % 2 == 0))
        }
    }
    struct Squares(u32);
    impl Serialize for Squares {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map((0..self.0).filter(|n| n % 2 == 0).map(|n| (n, n * n)))
        }
    }
    let value = (1, Evens(100), Squares(6), 2);
    let bytes = MessagePack.encode(&value).unwrap();
    assert_eq!(bytes, incumbent(&value));
    let (_, evens, squares, last) =
        MessagePack.decode::<(u8, Vec<u32>, BTreeMap<u32, u32>, u8)>(&bytes).unwrap();
    assert_eq!((evens.len(), evens[49], squares[&4], last), (50, 98, 16, 2));
}

#[test]
fn text_and_bytes_are_borrowed() {
    #[derive(Serialize, Deserialize)]
    struct Borrowed<'a> {
        text: &'a str,
        #[serde(with = "serde_bytes")]
        bytes: &'a [u8],
    }
    let encoded = MessagePack.encode(&Borrowed { text: "as it is", bytes: &[0xff; 300] }).unwrap();
    let decoded: Borrowed<'_> = MessagePack.decode(&encoded).unwrap();
    assert_eq!((decoded.text, decoded.bytes), ("as it is", &[0xff; 300][..]));
    let range = encoded.as_ptr_range();
    assert!(range.contains(&decoded.text.as_ptr()));
    assert!(range.contains(&decoded.bytes.as_ptr()));
}

#[derive(Deserialize, Debug)]
#[expect(dead_code, reason = "only the errors are looked at")]
struct Order {
    id: u32,
    lines: Vec<Line>,
    shape: Option<Shape>,
}

#[derive(Deserialize, Debug)]
#[expect(dead_code, reason = "only the errors are looked at")]
struct Line {
    article: String,
    count: u8,
}

#[test]
fn errors_name_the_field_and_the_offset() {
    let line = |count: i32| BTreeMap::from([("article", either("tea")), ("count", either(count))]);
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Either {
        Text(&'static str),
        Number(i32),
    }
    impl From<&'static str> for Either {
        fn from(text: &'static str) -> Self {
            Self::Text(text)
        }
    }
    impl From<i32> for Either {
        fn from(number: i32) -> Self {
            Self::Number(number)
        }
    }
    fn either(value: impl Into<Either>) -> Either {
        value.into()
    }
    #[derive(Serialize)]
    struct Wrong {
        id: u32,
        lines: Vec<BTreeMap<&'static str, Either>>,
    }

    let bytes = MessagePack.encode(&Wrong { id: 7, lines: vec![line(1), line(300)] }).unwrap();
    let error = MessagePack.decode::<Order>(&bytes).unwrap_err();
    assert_eq!((error.codec(), error.kind()), ("msgpack", DecodeErrorKind::Mismatch));
    assert_eq!(error.field(), Some("lines[1].count"));
    assert_eq!(error.detail(), "invalid value: integer `300`, expected u8");
    assert_eq!(&bytes[error.offset()..], [0xcd, 0x01, 0x2c]);

    // A missing field is reported at the value that lacks it.
    let without = Wrong { id: 7, lines: vec![line(1), BTreeMap::from([("article", either("milk"))])] };
    let bytes = MessagePack.encode(&without).unwrap();
    let error = MessagePack.decode::<Order>(&bytes).unwrap_err();
    assert_eq!((error.field(), error.detail()), (Some("lines[1]"), "missing field `count`"));
    assert_eq!(bytes[error.offset()..], b"\x81\xa7article\xa4milk"[..]);

    // In an enum variant.
    let error =
        MessagePack.decode::<Vec<Shape>>(b"\x91\x81\xa3Box\x82\xa5width\x01\xa6height\xa3low").unwrap_err();
    assert_eq!((error.field(), error.offset()), (Some("[0].Box.height"), 21));
    let error = MessagePack.decode::<Shape>(b"\xa4Star").unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Mismatch, 0));
    assert!(error.detail().starts_with("unknown variant `Star`"), "{error}");
    for no_variant in
        [&b"\x82\x01\x02\x03\x04"[..], b"\x91\xa7Nothing", b"\xc0", b"\xa6Circle", b"\xa4Line", b"\xa3Box"]
    {
        assert_eq!(MessagePack.decode::<Shape>(no_variant).unwrap_err().kind(), DecodeErrorKind::Mismatch);
    }
}

#[test]
fn the_field_of_an_error_is_found_in_any_kind_of_value() {
    fn field<T: DeserializeOwned>(bytes: &[u8]) -> (Option<String>, usize) {
        let error = MessagePack.decode::<T>(bytes).err().unwrap();
        (error.field().map(str::to_owned), error.offset())
    }
    let found = |path: &str, offset| (Some(path.to_owned()), offset);
    // Keys that are numbers, and keys that are neither text nor a number.
    assert_eq!(field::<BTreeMap<i16, u8>>(b"\x82\x01\x02\xd1\xff\x00\xc0"), found("-256", 6));
    assert_eq!(field::<BTreeMap<(u8, u8), u8>>(b"\x81\x92\x01\x02\xc3"), found("?", 4));
    assert_eq!(field::<BTreeMap<String, Vec<u8>>>(b"\x82\xa1a\x90\xa1b\x92\x01\xc2"), found("b[1]", 8));
    // A wrong key is reported at its map, and values before it are not looked at again.
    assert_eq!(field::<Vec<BTreeMap<String, u8>>>(b"\x92\x81\xa1a\x07\x81\x08\x09"), found("[1]", 6));
    assert_eq!(field::<(u8, Vec<u8>, bool)>(b"\x93\x01\x91\x02\x07"), found("[2]", 4));
    // A struct encoded as an array has no field names.
    assert_eq!(field::<Line>(b"\x92\xa3tea\xc0"), found("[1]", 5));
    // The whole value, and bytes after it.
    assert_eq!(field::<u8>(b"\xc3"), (None, 0));
    assert_eq!(field::<Vec<u8>>(b"\x91\x01\x01"), (None, 2));
    // Truncated input: within a value, within a key, and in an array that is longer than the input.
    assert_eq!(field::<BTreeMap<String, String>>(b"\x81\xa1k\xa3ab"), found("k", 6));
    assert_eq!(field::<Vec<BTreeMap<String, u8>>>(b"\x91\x81\xa3ab"), found("[0]", 5));
    assert_eq!(field::<Vec<Vec<u8>>>(b"\x92\x90\x95\x01"), found("[1]", 4));
    // In an ignored value, down to the deepest nesting that is allowed.
    let ignored = [b"\x83\xa7article\xa3tea\xa1x".as_slice(), &[0x91; 300]].concat();
    let (path, offset) = field::<Line>(&ignored);
    assert_eq!((path.unwrap(), offset), (["x", &"[0]".repeat(MAX_DEPTH - 1)].concat(), ignored.len()));
    // A key of any length and any bytes.
    for key in [vec![b'k'; 100_000], vec![0xff; 100_000]] {
        let wrong = [b"\x81\xdb\x00\x01\x86\xa0", key.as_slice(), b"\xc0"].concat();
        let error = MessagePack.decode::<BTreeMap<serde_bytes::ByteBuf, u8>>(&wrong).unwrap_err();
        assert!((500..600).contains(&error.field().unwrap().len()), "{error}");
        assert_eq!(error.offset(), wrong.len() - 1);
    }
}

#[test]
fn what_was_found_is_told_in_words_of_bounded_length() {
    let detail = |bytes: &[u8]| MessagePack.decode::<u8>(bytes).unwrap_err().detail().to_owned();
    for (bytes, found) in [
        (&b"\xc0"[..], "unit value"),
        (b"\xc3", "boolean `true`"),
        (b"\xc2", "boolean `false`"),
        (b"\xca\x3f\x80\x00\x00", "floating point number"),
        (b"\xa7a\"\\\n\xc3\xbc ", "string \"a\\\"\\\\\\nü \""),
        (b"\xc4\x01\xff", "byte array"),
        (b"\x90", "sequence"),
        (b"\x80", "map"),
    ] {
        assert_eq!(detail(bytes), format!("invalid type: {found}, expected u8"));
    }
    assert_eq!(detail(b"\xcd\x01\x00"), "invalid value: integer `256`, expected u8");
    assert_eq!(detail(b"\xff"), "invalid value: integer `-1`, expected u8");
    let long = [b"\xdb\x00\x01\x00\x00".as_slice(), &[b'x'; 65_536]].concat();
    assert!((500..600).contains(&detail(&long).len()));
}

#[test]
fn what_is_no_message_pack_is_told_apart() {
    let kind_and_offset = |bytes: &[u8]| {
        let error = MessagePack.decode::<Vec<String>>(bytes).unwrap_err();
        (error.kind(), error.offset())
    };
    assert_eq!(kind_and_offset(b""), (DecodeErrorKind::Truncated, 0));
    assert_eq!(kind_and_offset(b"\x91\xa5abc"), (DecodeErrorKind::Truncated, 5));
    assert_eq!(kind_and_offset(b"\x91\xc1"), (DecodeErrorKind::Malformed, 1));
    assert_eq!(kind_and_offset(b"\x92\xa1a\xa2\xc3\x28"), (DecodeErrorKind::Malformed, 3));
    assert_eq!(kind_and_offset(b"\x91\xa1a\xc0\xc0"), (DecodeErrorKind::Trailing, 3));
    let error = MessagePack.decode::<(u8, u8)>(b"\x93\x01\x02\x03").unwrap_err();
    assert_eq!((error.kind(), error.detail()), (DecodeErrorKind::Mismatch, "3 entries, expected 2"));
}

#[test]
fn a_length_that_is_only_claimed_allocates_nothing() {
    for head in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ] {
        let mut bytes = head.to_vec();
        bytes.extend([0xc0; 40]);
        for error in [
            MessagePack.decode::<Vec<[u64; 32]>>(&bytes).err(),
            MessagePack.decode::<Vec<()>>(&bytes).err(),
            MessagePack.decode::<BTreeMap<(), ()>>(&bytes).err(),
            MessagePack.decode::<String>(&bytes).err(),
            MessagePack.decode::<serde_bytes::ByteBuf>(&bytes).err(),
            MessagePack.decode::<serde::de::IgnoredAny>(&bytes).err(),
        ] {
            assert_eq!(error.unwrap().kind(), DecodeErrorKind::Truncated);
        }
    }
}

#[derive(Serialize, Deserialize, Debug)]
enum Nest {
    End,
    Deeper(Box<Nest>),
}

#[derive(Serialize, Deserialize, Debug)]
struct Tree(Vec<Tree>);

#[test]
fn nesting_is_bounded_for_every_kind_of_type() {
    let arrays = |depth: usize| [vec![0x91; depth - 1], vec![0x90]].concat();
    let variants = |depth: usize| [b"\x81\xa6Deeper".repeat(depth), b"\xa3End".to_vec()].concat();
    MessagePack.decode::<Tree>(&arrays(MAX_DEPTH)).unwrap();
    MessagePack.decode::<Nest>(&variants(MAX_DEPTH)).unwrap();
    for depth in [MAX_DEPTH + 1, 1_000_000] {
        let error = MessagePack.decode::<Tree>(&arrays(depth)).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::TooDeep, MAX_DEPTH));
        let error = MessagePack.decode::<Nest>(&variants(depth)).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::TooDeep, MAX_DEPTH * 8));
    }
    // An array of one instead of a map. rmp-serde reads on after it, ever deeper.
    let mut arrays_of_variants = vec![0xdc, 0xff, 0xff];
    arrays_of_variants.extend(b"\x91\xa6Deeper".repeat(65_535));
    let error = MessagePack.decode::<Vec<Nest>>(&arrays_of_variants).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Mismatch, 3));
    // An ignored value is skipped at any depth.
    MessagePack.decode::<serde::de::IgnoredAny>(&arrays(1_000_000)).unwrap();
}

#[test]
fn the_types_without_names_are_written_as_the_incumbent_does() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Point(u8, String);
    same_both_ways(&Point(7, "seven".to_owned()));
    // Text for a reader, and four numbers where no reader is.
    same_both_ways(&std::net::Ipv4Addr::new(127, 0, 0, 1));
    assert_eq!(MessagePack.encode(&std::net::Ipv4Addr::LOCALHOST).unwrap(), b"\x94\x7f\x00\x00\x01");
}

#[test]
fn a_binary_is_a_sequence_of_numbers_and_a_wide_number_if_it_has_sixteen_bytes() {
    assert_eq!(MessagePack.decode::<Vec<u8>>(b"\xc4\x03\x07\x08\xff").unwrap(), [7, 8, 255]);
    assert_eq!(MessagePack.decode::<(u8, u16)>(b"\xc4\x02\x07\x08").unwrap(), (7, 8));
    let wide = |length: u8| [&[0xc4, length][..], &vec![1; length.into()]].concat();
    assert_eq!(MessagePack.decode::<u128>(&wide(16)).unwrap(), u128::from_be_bytes([1; 16]));
    for length in [15, 17] {
        let error = MessagePack.decode::<u128>(&wide(length)).unwrap_err();
        assert_eq!(error.detail(), "invalid type: byte array, expected u128");
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Mismatch, 0));
    }
    assert_eq!(
        MessagePack.decode::<i128>(b"\xc0").unwrap_err().detail(),
        "invalid type: unit value, expected i128"
    );
}

#[test]
fn a_variant_without_data_may_come_as_a_map_to_nil() {
    assert_eq!(MessagePack.decode::<Shape>(b"\x81\xa7Nothing\xc0").unwrap(), Shape::Nothing);
    let error = MessagePack.decode::<Shape>(b"\x81\xa7Nothing\x07").unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Mismatch, 9));
    assert_eq!(error.detail(), "invalid type: integer `7`, expected unit");
    assert_eq!(
        MessagePack.decode::<Shape>(b"\x82\x01\x02\x03\x04").unwrap_err().detail(),
        "invalid length 2, expected a map of one entry, from a variant's name to its data"
    );
    assert_eq!(
        MessagePack.decode::<Shape>(b"\xc0").unwrap_err().detail(),
        "expected the name of a variant, or a map from it to its data"
    );
}

#[test]
fn arrays_and_maps_tell_how_many_entries_are_left() {
    /// How many entries were said to be left, before the first of them and after it.
    #[derive(PartialEq, Debug)]
    struct Hints([Option<usize>; 2]);
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Hints;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("entries")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut entries: A) -> Result<Hints, A::Error> {
            let before = entries.size_hint();
            entries.next_element::<u8>()?;
            let hints = Hints([before, entries.size_hint()]);
            while entries.next_element::<u8>()?.is_some() {}
            Ok(hints)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Hints, A::Error> {
            let before = entries.size_hint();
            entries.next_entry::<u8, u8>()?;
            let hints = Hints([before, entries.size_hint()]);
            while entries.next_entry::<u8, u8>()?.is_some() {}
            Ok(hints)
        }
    }
    impl<'de> Deserialize<'de> for Hints {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Visitor)
        }
    }
    for bytes in [&b"\x93\x01\x02\x03"[..], b"\x83\x01\x02\x03\x04\x05\x06"] {
        assert_eq!(MessagePack.decode::<Hints>(bytes).unwrap(), Hints([Some(3), Some(2)]));
    }
}

#[test]
fn a_type_can_add_to_the_error_of_what_is_in_it() {
    #[derive(Debug)]
    struct Wrapped;
    impl<'de> Deserialize<'de> for Wrapped {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match u8::deserialize(deserializer) {
                Ok(_) => Ok(Self),
                Err(error) => Err(serde::de::Error::custom(format_args!("in what is wrapped: {error}"))),
            }
        }
    }
    impl Serialize for Wrapped {
        fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            let error: S::Error = serde::ser::Error::custom("no number");
            Err(serde::ser::Error::custom(format_args!("in what is wrapped: {error}")))
        }
    }
    assert_eq!(
        MessagePack.decode::<Wrapped>(b"\xc3").unwrap_err().detail(),
        "in what is wrapped: invalid type: boolean `true`, expected u8"
    );
    assert_eq!(MessagePack.encode(&Wrapped).unwrap_err().detail(), "in what is wrapped: no number");
}

#[test]
fn a_value_that_is_passed_over_ends_where_its_last_entry_does() {
    for passed_over in [&b"\x80"[..], b"\x81\x01\x02", b"\x83\x01\x02\x03\x04\x05\x80", b"\x93\x01\x02\x03"] {
        let bytes = [b"\x92", passed_over, b"\x07"].concat();
        let (_, after) = MessagePack.decode::<(serde::de::IgnoredAny, u8)>(&bytes).unwrap();
        assert_eq!(after, 7, "{bytes:x?}");
    }
}

#[test]
fn the_field_of_an_error_is_found_behind_an_extension_and_by_an_unsigned_key() {
    let error =
        MessagePack.decode::<(serde::de::IgnoredAny, u8)>(b"\x92\xd6\xff\x00\x00\x00\x07\xc3").unwrap_err();
    assert_eq!((error.field(), error.offset()), (Some("[1]"), 7));
    let error = MessagePack.decode::<BTreeMap<u16, u8>>(b"\x81\xcd\x01\x00\xc3").unwrap_err();
    assert_eq!((error.field(), error.offset()), (Some("256"), 4));
}

#[test]
fn arrays_side_by_side_do_not_nest() {
    let side_by_side = vec![vec![7_u8]; MAX_DEPTH * 2];
    let bytes = MessagePack.encode(&side_by_side).unwrap();
    assert_eq!(MessagePack.decode::<Vec<Vec<u8>>>(&bytes).unwrap(), side_by_side);
}

#[test]
fn an_extension_is_a_pair_and_is_passed_over() {
    let timestamp = b"\xd6\xff\x00\x00\x00\x07";
    #[derive(Deserialize, PartialEq, Debug)]
    struct Stamp(i8, #[serde(with = "serde_bytes")] Vec<u8>);
    // The name by which rmp-serde recognises extension types.
    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename = "_ExtStruct")]
    struct Wrapped(Stamp);
    #[derive(Deserialize, PartialEq, Debug)]
    struct OnlyName {
        name: String,
    }
    let bytes = [b"\x82\xa4when", &timestamp[..], b"\xa4name\xa3now"].concat();
    assert_eq!(MessagePack.decode::<OnlyName>(&bytes).unwrap(), OnlyName { name: "now".to_owned() });
    assert_eq!(MessagePack.decode::<u64>(timestamp).unwrap_err().kind(), DecodeErrorKind::Mismatch);
    let stamp = || Stamp(-1, vec![0, 0, 0, 7]);
    assert_eq!(MessagePack.decode::<Stamp>(timestamp).unwrap(), stamp());
    assert_eq!(MessagePack.decode::<Wrapped>(timestamp).unwrap(), Wrapped(stamp()));
    assert_eq!(rmp_serde::from_slice::<Wrapped>(timestamp).unwrap(), Wrapped(stamp()));
}
