//! A guest whose operations run on the developer's machine.

use antiphon_guest::prelude::*;
use antiphon_guest::testing::{call, on_host_call, take_log};
use antiphon_guest::{Table, install, register_fallback, table};

#[operation]
fn echo(payload: &[u8]) -> &[u8] {
    payload
}

#[operation]
fn owned(payload: Vec<u8>) -> Vec<u8> {
    payload.into_iter().rev().collect()
}

#[operation]
fn text(payload: &str) -> Result<String, std::num::ParseIntError> {
    payload.parse().map(|number: u32| (number + 1).to_string())
}

#[operation(name = "a name/with \"quotes\" and ünïcode")]
fn named<'a>(payload: &'a str) -> std::borrow::Cow<'a, str> {
    payload.into()
}

#[operation]
fn nothing() {}

#[operation]
#[must_use]
pub(crate) const fn constant() -> [u8; 3] {
    *b"abc"
}

/// Compiled out, and so must be everything that the attribute generates.
#[operation]
#[cfg(any())]
fn left_out(payload: &NoType) -> NoType {
    payload
}

#[operation]
/// Between conditions that hold.
#[cfg(not(target_arch = "wasm32"))]
#[cfg(not(any()))]
fn conditional() -> &'static str {
    "here"
}

/// Returns an operation that is in no table.
#[operation]
fn unlisted(payload: &[u8]) -> Result<(), String>
where
    [u8]: Sync,
{
    Err(String::from_utf8_lossy(payload).into_owned())
}

/// Calls the host, whose handler calls the guest again; then looks at its own payload.
#[operation]
fn again(payload: &[u8]) -> CallResult {
    let answer = host_call("b", "n", "o", payload)?;
    Ok([payload, &answer].concat())
}

mod other {
    use super::operation;

    #[operation(name = r"raw")]
    pub(crate) fn r#type(payload: &[u8]) -> usize_as_text::Text {
        usize_as_text::Text(payload.len())
    }

    /// A type of the guest as an answer.
    pub(crate) mod usize_as_text {
        pub(crate) struct Text(pub(crate) usize);

        impl antiphon_guest::IntoResponse for Text {
            fn respond(self) -> antiphon_guest::Answered {
                antiphon_guest::Answered::success(self.0.to_string().as_bytes())
            }
        }
    }
}

static TABLE: Table = table![echo, owned, text, named, nothing, constant, conditional, again, other::r#type];

#[test]
fn operations_take_and_return_what_they_declare() {
    install(&TABLE);
    assert_eq!(call("echo", b"hi").unwrap(), b"hi");
    assert_eq!(call("owned", b"abc").unwrap(), b"cba");
    assert_eq!(call("text", b"41").unwrap(), b"42");
    assert_eq!(call("text", b"x").unwrap_err(), "invalid digit found in string");
    assert_eq!(call("text", b"\xff").unwrap_err(), "invalid utf-8 sequence of 1 bytes from index 0");
    assert_eq!(call("a name/with \"quotes\" and ünïcode", b"k").unwrap(), b"k");
    assert_eq!(call("nothing", b"ignored").unwrap(), b"");
    assert_eq!(call("constant", b"").unwrap(), b"abc");
    assert_eq!(call("raw", b"four").unwrap(), b"4");
    assert_eq!(call("conditional", b"").unwrap(), b"here");
    // The functions can still be called directly.
    assert_eq!((echo(b"x"), owned(vec![1, 2]), constant()), (&b"x"[..], vec![2, 1], *b"abc"));
    let sorted: Vec<_> = TABLE.names().collect();
    let expected = [
        "a name/with \"quotes\" and ünïcode",
        "again",
        "conditional",
        "constant",
        "echo",
        "nothing",
        "owned",
        "raw",
        "text",
    ];
    assert_eq!(sorted, expected);
}

#[test]
fn an_unknown_operation_is_refused_in_the_words_of_wapc_guest() {
    let refusal = |name: &str| format!("No handler registered for function {name}");
    assert_eq!(call("echo", b"before any is installed").unwrap_err(), refusal("echo"));
    assert_eq!(call("", b"").unwrap_err(), refusal(""));
    install(&TABLE);
    // Among them are names whose keys equal that of a free slot or of another name.
    for name in ["", "ech", "echo\0", "echoo", "\u{1}", "constan", "constant1", "\0\0\0\0\0\0\0"] {
        assert_eq!(call(name, b"").unwrap_err(), refusal(name), "{name:?}");
    }
    let long = "a name/w".repeat(400);
    assert_eq!(call(&long, b"").unwrap_err(), refusal(&long));
}

#[test]
fn the_table_comes_first_then_the_registry_then_the_fallback() {
    fn registered(payload: &[u8]) -> CallResult {
        Ok([b"registered ", payload].concat())
    }
    fn replaced(_: &[u8]) -> CallResult {
        Err("replaced".into())
    }
    fn fallback(operation: &str, payload: &[u8]) -> CallResult {
        // A handler may register others.
        register_function("late", registered);
        Ok([operation.as_bytes(), b" fell back ", payload].concat())
    }
    install(&TABLE);
    for name in ["echo", "b", "a", "c", "a long name of a function"] {
        register_function(name, registered);
    }
    register_function("c", replaced);
    assert_eq!(call("echo", b"x").unwrap(), b"x");
    for name in ["a", "b", "a long name of a function"] {
        assert_eq!(call(name, b"x").unwrap(), b"registered x");
    }
    assert_eq!(call("c", b"x").unwrap_err(), "replaced");
    assert_eq!(call("late", b"x").unwrap_err(), "No handler registered for function late");
    register_fallback(fallback);
    assert_eq!(call("late", b"x").unwrap(), b"late fell back x");
    assert_eq!(call("late", b"x").unwrap(), b"registered x");
    assert_eq!(call("", b"").unwrap(), b" fell back ");
}

#[test]
fn requests_of_every_size_are_read_whole() {
    install(&TABLE);
    for length in [0, 1, 1_023, 1_024, 1_025, 70_000, 3, 69_999, 1_024] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        assert_eq!(call("echo", &payload).unwrap(), payload, "{length}");
    }
}

#[test]
fn a_payload_stays_what_it_is_while_the_guest_is_called_again() {
    install(&TABLE);
    on_host_call(|call_of_host| {
        let inner = call("echo", &[b"inner ", call_of_host.payload].concat())?;
        assert_eq!(call("nothing", b"").unwrap(), b"");
        assert_eq!(call("echo", &[9; 5_000]).unwrap(), [9; 5_000]);
        Ok(inner)
    });
    for length in [0, 5, 1_000, 1_024, 4_000] {
        let payload = vec![b'p'; length];
        let expected = [&payload[..], b"inner ", &payload].concat();
        assert_eq!(call("again", &payload).unwrap(), expected, "{length}");
        assert_eq!(call("echo", b"after").unwrap(), b"after");
    }
}

#[test]
fn the_hosts_error_is_the_guests_to_read() {
    install(&TABLE);
    assert_eq!(call("again", b"").unwrap_err(), "Host error: Missing host callback function!");
    on_host_call(|call| Err(format!("no {}/{}/{}", call.binding, call.namespace, call.operation)));
    let error = host_call("b", "n", "o", b"").unwrap_err();
    assert_eq!(error.to_string(), "Host error: no b/n/o");
    assert_eq!(format!("{error:?}"), "HostError(no b/n/o)");
    let error = error.downcast::<antiphon_guest::errors::Error>().unwrap();
    assert_eq!(error.host_text(), "no b/n/o");
}

#[test]
fn lines_go_to_the_hosts_log() {
    console_log("one");
    antiphon_guest::log!("{} and {three}", 2, three = 3);
    assert_eq!(take_log(), ["one", "2 and 3"]);
    assert!(take_log().is_empty());
}

#[test]
fn a_table_of_many_operations_finds_them_all() {
    macro_rules! many {
        ($($name:ident)*) => {
            $(#[operation] fn $name() -> &'static str { stringify!($name) })*
            static MANY: Table = table![$($name),*];
        };
    }
    many! {
        aa ab ac ad ae af ag ah ai aj ak al am an ao ap aq ar r#as at au av aw ax ay az ba bb bc bd be bf bg bh bi bj bk bl bm
        bn bo bp bq br bs bt bu bv bw bx by bz long_name_1 long_name_2 seven_7 eight_88 c d e f g
    }
    install(&MANY);
    assert_eq!(MANY.names().count(), 61);
    for name in MANY.names() {
        assert_eq!(call(name, b"").unwrap(), stringify_of(name).as_bytes());
    }
}

/// `as` is a keyword: the function is `r#as`, and the operation is `as`.
fn stringify_of(name: &str) -> &str {
    if name == "as" { "r#as" } else { name }
}

#[test]
fn what_is_in_no_table_is_no_operation_of_the_guest() {
    install(&TABLE);
    assert_eq!(unlisted(b"x").unwrap_err(), "x");
    assert_eq!(call("unlisted", b"x").unwrap_err(), "No handler registered for function unlisted");
}
