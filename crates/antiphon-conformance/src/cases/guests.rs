//! Guests built with the public SDKs of waPC, and with Antiphon's own, checked in with Antiphon's repository.

use super::host_call::echo;
use crate::case::{Case, Need, case};
use crate::expect::{Failure, says};
use crate::guest::{Guest, Log};
use crate::subject::Subject;

const NEEDS: &[Need] = &[Need::Guests];

pub(super) const CASES: &[Case] = &[
    case!(guests::rust_echoes).needs(NEEDS),
    case!(guests::rust_fails_with_its_text).needs(NEEDS),
    case!(guests::rust_panics_and_the_next_call_is_served).needs(NEEDS),
    case!(guests::rust_panics_with_its_text_where_the_sdk_is_ours).needs(NEEDS),
    case!(guests::rust_calls_its_host).needs(NEEDS),
    case!(guests::rust_logs).needs(NEEDS),
    case!(guests::rust_decodes_and_encodes).needs(NEEDS),
    case!(guests::rust_takes_requests_of_every_size).needs(NEEDS),
    case!(guests::assembly_script_echoes).needs(NEEDS),
    case!(guests::assembly_script_fails_with_its_text).needs(NEEDS),
    case!(guests::assembly_script_panics_with_its_text_and_the_next_call_is_served).needs(NEEDS),
    case!(guests::assembly_script_calls_its_host).needs(NEEDS),
    case!(guests::assembly_script_logs).needs(NEEDS),
];

/// With `wapc-guest`, with `antiphon-guest` under that name, and with `antiphon-guest`.
const RUST: &[&str] = &["rust.wasm", "rust-renamed.wasm", "rust-antiphon.wasm"];
/// With the SDK's own abort, and with `env.abort`.
const ASSEMBLY_SCRIPT: &[&str] = &["assemblyscript.wasm", "assemblyscript-env-abort.wasm"];

fn each(subject: &Subject, names: &[&str], check: impl Fn(&str, Guest)) {
    for name in names {
        check(name, Guest::binary(subject.built_guest(name)));
    }
}

fn echoes(subject: &Subject, names: &[&str]) {
    each(subject, names, |name, guest| {
        let host = subject.host(guest);
        let long: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        for payload in [&b""[..], b"hello", &long] {
            assert!(host.answer("echo", payload) == payload, "{name}: {} bytes", payload.len());
        }
    });
}

fn fails(subject: &Subject, names: &[&str], unknown: &str) {
    each(subject, names, |_, guest| {
        let host = subject.host(guest);
        for _ in 0..2 {
            let error = host.call("fail", b"no tea").unwrap_err();
            Failure::GUEST_FAILED.check(&error);
            assert_eq!(error.guest_error(), Some("the guest refused: no tea"));
        }
        let error = host.call("nope", b"").unwrap_err();
        Failure::GUEST_FAILED.check(&error);
        assert_eq!(error.guest_error(), Some(unknown));
        assert_eq!(host.answer("echo", b"alive"), b"alive");
    });
}

/// Without a text where the SDK has none.
fn panics(subject: &Subject, names: &[&str], text: Option<&[&str]>) {
    each(subject, names, |name, guest| {
        let host = subject.host(guest);
        for _ in 0..3 {
            let error = host.call("panic", b"no milk").unwrap_err();
            Failure::TRAPPED.check(&error);
            match text {
                Some(text) => says(error.guest_error().unwrap_or_default(), text),
                None => assert_eq!(error.guest_error(), None, "{name}"),
            }
            assert_eq!(host.answer("echo", b"alive"), b"alive");
        }
    });
}

fn calls_its_host(subject: &Subject, names: &[&str]) {
    each(subject, names, |name, guest| {
        let host = subject.host(guest.clone().answers(|call| {
            assert_eq!((call.binding, call.namespace, call.operation), ("binding", "sample", "echo"));
            match call.payload {
                b"fail" => Err("the host refused".into()),
                _ => echo(call),
            }
        }));
        for payload in [&b""[..], b"round trip", &[0xff; 10_000]] {
            assert!(host.answer("host", payload) == payload, "{name}: {} bytes", payload.len());
        }
        let error = host.call("host", b"fail").unwrap_err();
        Failure::GUEST_FAILED.check(&error);
        assert_eq!(error.guest_error(), Some("the host refused"));
        assert_eq!(host.answer("host", b"alive"), b"alive");

        let error = subject.host(guest).call("host", b"").unwrap_err();
        Failure::GUEST_FAILED.check(&error);
        assert_eq!(error.guest_error(), Some("Missing host callback function!"));
    });
}

fn logs(subject: &Subject, names: &[&str]) {
    each(subject, names, |name, guest| {
        let log = Log::default();
        let host = subject.host(guest.log(&log));
        assert_eq!(host.answer("log", "grüße".as_bytes()), b"", "{name}");
        let lines = log.take();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].operation.as_str(), lines[0].text.as_str()), ("log", "grüße"));
    });
}

fn rust_echoes(subject: &Subject) {
    echoes(subject, RUST);
}

fn rust_fails_with_its_text(subject: &Subject) {
    fails(subject, RUST, "No handler registered for function nope");
}

fn rust_panics_and_the_next_call_is_served(subject: &Subject) {
    panics(subject, &["rust.wasm"], None);
}

fn rust_panics_with_its_text_where_the_sdk_is_ours(subject: &Subject) {
    panics(
        subject,
        &["rust-renamed.wasm"],
        Some(&["the guest panicked: no milk, at renamed/../src/lib.rs:31:5"]),
    );
    panics(
        subject,
        &["rust-antiphon.wasm"],
        Some(&["the guest panicked: no milk, at antiphon/src/lib.rs:29:5"]),
    );
}

fn rust_calls_its_host(subject: &Subject) {
    calls_its_host(subject, RUST);
}

fn rust_logs(subject: &Subject) {
    logs(subject, RUST);
}

fn rust_decodes_and_encodes(subject: &Subject) {
    each(subject, &["rust-antiphon.wasm"], |_, guest| {
        let host = subject.host(guest);
        let greeting = b"\x82\xa4text\xaahello, Ada\xa5adult\xc3";
        assert_eq!(host.answer("greet", b"\x82\xa4name\xa3Ada\xa3age\x24"), greeting);
        let error = host.call("greet", b"\x82\xa4name\xa3Ada\xa3age\xa2no").unwrap_err();
        Failure::GUEST_FAILED.check(&error);
        let refused =
            "msgpack not decoded: at byte 14, in field age: invalid type: string \"no\", expected u8";
        assert_eq!(error.guest_error(), Some(refused));
        // Too long for the table's index.
        assert_eq!(host.answer("text/upper-case", b"aloud"), b"ALOUD");
        let error = host.call("text/upper-case", b"\xff").unwrap_err();
        assert_eq!(error.guest_error(), Some("invalid utf-8 sequence of 1 bytes from index 0"));
        assert_eq!(host.answer("null", b"anything"), b"");
    });
}

fn rust_takes_requests_of_every_size(subject: &Subject) {
    each(subject, RUST, |name, guest| {
        let host = subject.host(guest);
        // Around what antiphon-guest reads into memory that is always there; large ones between small ones.
        for length in [1_023, 0, 1_024, 1, 1_025, 100_000, 1_023, 99_999, 7] {
            let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert!(host.answer("echo", &payload) == payload, "{name}: {length} bytes");
        }
        for length in [8, 255, 256, 1_023, 1_024] {
            let unknown = "x".repeat(length);
            let error = host.call(&unknown, &[7; 2_000]).unwrap_err();
            Failure::GUEST_FAILED.check(&error);
            let expected = format!("No handler registered for function {unknown}");
            assert_eq!(error.guest_error(), Some(expected.as_str()));
        }
        assert_eq!(host.answer("echo", b"alive"), b"alive");
    });
}

fn assembly_script_echoes(subject: &Subject) {
    echoes(subject, ASSEMBLY_SCRIPT);
}

fn assembly_script_fails_with_its_text(subject: &Subject) {
    fails(subject, ASSEMBLY_SCRIPT, "Could not find function \"nope\"");
}

fn assembly_script_panics_with_its_text_and_the_next_call_is_served(subject: &Subject) {
    let text = &["the guest panicked: no milk", "assembly/index.ts", "27"];
    panics(subject, ASSEMBLY_SCRIPT, Some(text));
}

fn assembly_script_calls_its_host(subject: &Subject) {
    calls_its_host(subject, ASSEMBLY_SCRIPT);
}

fn assembly_script_logs(subject: &Subject) {
    logs(subject, ASSEMBLY_SCRIPT);
}
