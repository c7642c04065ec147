//! Guests in every language, written as their authors would: built with the public SDKs of waPC or
//! with Antiphon's, and checked in with its repository. All have equal operations and pass one set
//! of checks.

use crate::cases::echo;
use crate::suite::{Case, Guest, Host, Log, Need, Subject, case};
use crate::support::{Failure, says};

const NEEDS: &[Need] = &[Need::Guests];

pub(super) const CASES: &[Case] = &[
    case!(guests::rust).needs(NEEDS),
    case!(guests::rust_under_the_name_of_the_public_sdk).needs(NEEDS),
    case!(guests::rust_with_antiphons_sdk).needs(NEEDS),
    // Its standard library uses WASI.
    case!(guests::rust_for_wasi).needs(&[Need::Guests, Need::Wasi]),
    case!(guests::rust_without_the_standard_library).needs(NEEDS),
    case!(guests::rust_decodes_and_encodes).needs(NEEDS),
    case!(guests::rust_takes_requests_of_every_size).needs(NEEDS),
    case!(guests::assembly_script).needs(NEEDS),
    case!(guests::assembly_script_without_an_abort_of_its_own).needs(NEEDS),
    case!(guests::c).needs(NEEDS),
    // Go's runtime needs WASI for every target.
    case!(guests::go).needs(&[Need::Guests, Need::Wasi]),
    case!(guests::zig).needs(NEEDS),
];

/// A built guest, and what depends on its SDK.
struct Built {
    file: &'static str,
    /// Its error for the operation `nope`.
    unknown: &'static str,
    /// Parts of the error that it sets before it traps because of a panic; empty if it sets none.
    panic: &'static [&'static str],
    /// Whether it has an operation that speaks MessagePack.
    greets: bool,
}

const PANIC: &str = "the guest panicked: no milk";
const UNKNOWN: &str = "No handler registered for function nope";

fn rust(subject: &Subject) {
    serves(subject, &Built { file: "rust.wasm", unknown: UNKNOWN, panic: &[], greets: false });
}

fn rust_under_the_name_of_the_public_sdk(subject: &Subject) {
    let panic = &["the guest panicked: no milk, at renamed/../src/lib.rs:31:5"];
    serves(subject, &Built { file: "rust-renamed.wasm", unknown: UNKNOWN, panic, greets: false });
}

fn rust_with_antiphons_sdk(subject: &Subject) {
    let panic = &["the guest panicked: no milk, at antiphon/src/lib.rs:29:5"];
    serves(subject, &Built { file: "rust-antiphon.wasm", unknown: UNKNOWN, panic, greets: true });
}

fn rust_for_wasi(subject: &Subject) {
    let panic = &["the guest panicked: no milk, at antiphon/src/lib.rs:29:5"];
    serves(subject, &Built { file: "rust-antiphon-wasip1.wasm", unknown: UNKNOWN, panic, greets: true });
}

/// The text is that of the SDK's `panic_handler!`.
fn rust_without_the_standard_library(subject: &Subject) {
    let panic = &["the guest panicked: no milk, at no-std/src/lib.rs:37:5"];
    serves(subject, &Built { file: "rust-no-std.wasm", unknown: UNKNOWN, panic, greets: true });
}

fn assembly_script(subject: &Subject) {
    serves(subject, &assembly_script_in("assemblyscript.wasm"));
}

fn assembly_script_without_an_abort_of_its_own(subject: &Subject) {
    serves(subject, &assembly_script_in("assemblyscript-env-abort.wasm"));
}

const fn assembly_script_in(file: &'static str) -> Built {
    Built {
        file,
        unknown: "Could not find function \"nope\"",
        panic: &[PANIC, "assembly/index.ts", "28"],
        greets: true,
    }
}

fn c(subject: &Subject) {
    serves(subject, &Built { file: "c.wasm", unknown: UNKNOWN, panic: &[PANIC], greets: true });
}

fn go(subject: &Subject) {
    serves(subject, &Built { file: "go.wasm", unknown: UNKNOWN, panic: &[PANIC], greets: true });
}

fn zig(subject: &Subject) {
    serves(subject, &Built { file: "zig.wasm", unknown: UNKNOWN, panic: &[PANIC], greets: true });
}

/// Runs all checks on one compiled module: to compile a large runtime takes seconds.
fn serves(subject: &Subject, built: &Built) {
    let guest = Guest::binary(subject.built_guest(built.file)).patient();
    let factory = subject.factory(&guest).unwrap();
    let start = |guest: Guest| subject.start_on(&*factory, guest).unwrap();

    let host = start(guest.clone());
    echoes(&host);
    fails(&host, built);
    panics(&host, built);
    if built.greets {
        greets(&host);
        refuses_to_greet(&host);
    }
    calls_its_host(&start(guest.clone().answers(|call| {
        assert_eq!((call.binding, call.namespace, call.operation), ("binding", "sample", "echo"));
        match call.payload {
            b"fail" => Err("the host refused".into()),
            _ => echo(call),
        }
    })));
    finds_no_host(&host);
    let log = Log::default();
    logs(&start(guest.log(&log)), &log);
}

fn echoes(host: &Host) {
    let long: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for payload in [&b""[..], b"hello", &long] {
        assert!(host.answer("echo", payload) == payload, "{} bytes", payload.len());
    }
}

fn fails(host: &Host, built: &Built) {
    for _ in 0..2 {
        fails_with(host, ("fail", b"no tea"), "the guest refused: no tea");
    }
    fails_with(host, ("nope", b""), built.unknown);
}

/// Makes a call that the guest answers with this error and survives.
#[track_caller]
fn fails_with(host: &Host, (operation, payload): (&str, &[u8]), text: &str) {
    let error = host.call(operation, payload).unwrap_err();
    Failure::GUEST_FAILED.check(&error);
    assert_eq!(error.guest_error(), Some(text));
    assert_eq!(host.answer("echo", b"alive"), b"alive");
}

fn panics(host: &Host, built: &Built) {
    for _ in 0..3 {
        let error = host.call("panic", b"no milk").unwrap_err();
        Failure::TRAPPED.check(&error);
        match error.guest_error() {
            Some(text) if !built.panic.is_empty() => says(text, built.panic),
            text => assert_eq!((text, built.panic.is_empty()), (None, true)),
        }
        assert_eq!(host.answer("echo", b"alive"), b"alive");
    }
}

fn calls_its_host(host: &Host) {
    for payload in [&b""[..], b"round trip", &[0xff; 10_000]] {
        assert!(host.answer("host", payload) == payload, "{} bytes", payload.len());
    }
    fails_with(host, ("host", b"fail"), "the host refused");
    assert_eq!(host.answer("host", b"alive"), b"alive");
}

fn finds_no_host(host: &Host) {
    fails_with(host, ("host", b""), "Missing host callback function!");
}

fn logs(host: &Host, log: &Log) {
    assert_eq!(host.answer("log", "grüße".as_bytes()), b"");
    let lines = log.take();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].operation.as_str(), lines[0].text.as_str()), ("log", "grüße"));
}

/// Sends requests that differ in their bytes but not in their meaning, and expects one answer.
fn greets(host: &Host) {
    const ANSWER: &[u8] = b"\x82\xa4text\xbfHello, J\xc3\xbcrgen! Hello, J\xc3\xbcrgen!\xa6length\x1f";
    const REQUESTS: [&[u8]; 5] = [
        b"\x82\xa4name\xa7J\xc3\xbcrgen\xa5count\x02",
        // The fields in the other order, and everything in a longer encoding.
        b"\xde\x00\x02\xd9\x05count\xce\x00\x00\x00\x02\xda\x00\x04name\xdb\x00\x00\x00\x07J\xc3\xbcrgen",
        // A signed number that is not negative.
        b"\x82\xa4name\xa7J\xc3\xbcrgen\xa5count\xd1\x00\x02",
        // Unknown keys, with values of any type.
        b"\x84\xa1x\x93\xc0\xc3\x81\xa1y\xc4\x02\xff\xff\xa4name\xa7J\xc3\xbcrgen\xa1z\xcb\0\0\0\0\0\0\0\0\xa5count\x02",
        b"\x83\xa1x\xc7\x03\x01abc\xa4name\xa7J\xc3\xbcrgen\xa5count\x02",
    ];
    for request in REQUESTS {
        assert_eq!(
            host.answer("greet", request).escape_ascii().to_string(),
            ANSWER.escape_ascii().to_string()
        );
    }
    assert_eq!(host.answer("greet", b"\x82\xa4name\xa3Ada\xa5count\x00"), b"\x82\xa4text\xa0\xa6length\x00");

    // 1000 times nine bytes and the separators between them: lengths of two bytes.
    let long = host.answer("greet", b"\x82\xa4name\xa1A\xa5count\xcd\x03\xe8");
    let text = vec!["Hello, A!"; 1000].join(" ");
    let answer = [b"\x82\xa4text\xda\x27\x0f", text.as_bytes(), b"\xa6length\xcd\x27\x0f"].concat();
    assert!(long == answer, "{} bytes", long.len());
}

/// Sends malformed requests, which the guest refuses and survives.
fn refuses_to_greet(host: &Host) {
    let deep = [b"\x83\xa1x".as_slice(), &[0x91; 100_000]].concat();
    let wrong: [&[u8]; 14] = [
        b"",
        b"x",
        b"\x80",
        b"\x81\xa4name\xa3Ada",
        b"\x81\xa5count\x02",
        b"\x82\xa4name\xa3Ada\xa5count",
        b"\x82\xa4name\xa3Ada\xa5count\xcd\x02",
        b"\x82\xa4name\xa3Ada\xa5count\xff",
        b"\x82\xa4name\xa3Ada\xa5count\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x82\xa4name\x07\xa5count\x02",
        b"\x82\xa4name\xdb\xff\xff\xff\xffAda",
        b"\xdf\xff\xff\xff\xff",
        b"\x82\xa4name\xa3Ada\xa5count\x02\x00",
        &deep,
    ];
    for request in wrong {
        fails_with(host, ("greet", request), "greet wants {name: str, count: u32} in MessagePack");
    }
    fails_with(
        host,
        ("greet", b"\x82\xa4name\xa3Ada\xa5count\xcd\x03\xe9"),
        "greet says hello 1000 times at most",
    );
}

/// Operations that only Antiphon's own SDK has.
fn rust_decodes_and_encodes(subject: &Subject) {
    let host = subject.host(Guest::binary(subject.built_guest("rust-antiphon.wasm")));
    assert_eq!(host.answer("math/add", b"\x92\x28\x02"), b"\x2a");
    fails_with(&host, ("math/add", b"\x92\xce\xff\xff\xff\xff\x01"), "too large");
    let refused = "msgpack not decoded: at byte 2, in field [1]: invalid type: string \"no\", expected u32";
    fails_with(&host, ("math/add", b"\x92\x28\xa2no"), refused);
    // Too long for the table's index.
    assert_eq!(host.answer("text/upper-case", b"aloud"), b"ALOUD");
    fails_with(&host, ("text/upper-case", b"\xff"), "invalid utf-8 sequence of 1 bytes from index 0");
    assert_eq!(host.answer("null", b"anything"), b"");
}

fn rust_takes_requests_of_every_size(subject: &Subject) {
    for name in ["rust.wasm", "rust-renamed.wasm", "rust-antiphon.wasm", "rust-no-std.wasm"] {
        let host = subject.host(Guest::binary(subject.built_guest(name)));
        // Lengths around the size of antiphon-guest's static buffer, with large ones between small
        // ones.
        for length in [1_023, 0, 1_024, 1, 1_025, 100_000, 1_023, 99_999, 7] {
            let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert!(host.answer("echo", &payload) == payload, "{name}: {length} bytes");
        }
        for length in [8, 255, 256, 1_023, 1_024] {
            let unknown = "x".repeat(length);
            let expected = format!("No handler registered for function {unknown}");
            fails_with(&host, (&unknown, &[7; 2_000]), &expected);
        }
    }
}
