//! Guests that others wrote: built with the public SDKs of waPC, and checked in with Antiphon's repository.

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
    case!(guests::rust_calls_its_host).needs(NEEDS),
    case!(guests::rust_logs).needs(NEEDS),
    case!(guests::assembly_script_echoes).needs(NEEDS),
    case!(guests::assembly_script_fails_with_its_text).needs(NEEDS),
    case!(guests::assembly_script_panics_with_its_text_and_the_next_call_is_served).needs(NEEDS),
    case!(guests::assembly_script_calls_its_host).needs(NEEDS),
    case!(guests::assembly_script_logs).needs(NEEDS),
];

const RUST: &[&str] = &["rust.wasm"];
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

fn panics(subject: &Subject, names: &[&str], text: Option<&str>) {
    each(subject, names, |name, guest| {
        let host = subject.host(guest);
        for _ in 0..3 {
            let error = host.call("panic", b"no milk").unwrap_err();
            Failure::TRAPPED.check(&error);
            match text {
                Some(text) => {
                    says(error.guest_error().unwrap_or_default(), &[text, "assembly/index.ts", "27"])
                }
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
    panics(subject, RUST, None);
}

fn rust_calls_its_host(subject: &Subject) {
    calls_its_host(subject, RUST);
}

fn rust_logs(subject: &Subject) {
    logs(subject, RUST);
}

fn assembly_script_echoes(subject: &Subject) {
    echoes(subject, ASSEMBLY_SCRIPT);
}

fn assembly_script_fails_with_its_text(subject: &Subject) {
    fails(subject, ASSEMBLY_SCRIPT, "Could not find function \"nope\"");
}

fn assembly_script_panics_with_its_text_and_the_next_call_is_served(subject: &Subject) {
    panics(subject, ASSEMBLY_SCRIPT, Some("the guest panicked: no milk"));
}

fn assembly_script_calls_its_host(subject: &Subject) {
    calls_its_host(subject, ASSEMBLY_SCRIPT);
}

fn assembly_script_logs(subject: &Subject) {
    logs(subject, ASSEMBLY_SCRIPT);
}
