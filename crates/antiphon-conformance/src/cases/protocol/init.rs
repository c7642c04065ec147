//! The start of an instance: start section, `_initialize`, `_start`, `wapc_init`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use antiphon::Bytes;
use antiphon::errors::ErrorKind;

use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Failure, cause, panic_quietly, says};

pub(super) const CASES: &[Case] = &[
    case!(init::the_exports_run_once_in_order_before_the_first_call),
    case!(init::each_export_is_optional),
    case!(init::a_reactor_that_forgets_nothing_keeps_its_state).keeps_state(),
    case!(init::a_fresh_instance_is_started_again),
    case!(init::a_trap_in_initialize_is_a_failed_start),
    case!(init::a_trap_in_start_is_a_failed_start),
    case!(init::a_trap_in_wapc_init_is_a_failed_start),
    case!(init::a_trap_in_the_start_section_is_a_failed_start),
    case!(init::a_data_segment_outside_memory_is_a_failed_start),
    case!(init::after_a_trap_in_one_export_the_others_do_not_run),
    case!(init::the_start_section_may_log_and_use_memory),
    case!(init::a_response_or_an_error_that_the_start_sets_is_dropped),
    case!(init::the_start_has_no_request_to_ask_for),
    case!(init::host_calls_of_the_start_are_refused_with_a_reason),
    case!(init::host_calls_of_the_start_are_served_where_the_builder_allows_them),
    case!(init::a_handler_that_panics_during_the_start_is_caught),
    case!(init::a_wild_pointer_during_the_start_is_a_failed_start),
    case!(init::an_abort_during_the_start_is_a_failed_start_with_its_text),
    case!(init::a_rebuild_that_fails_is_reported_and_tried_again).keeps_state(),
    case!(init::an_exit_with_code_0_in_initialize_or_start_is_success).needs(&[Need::Wasi]),
    case!(init::an_exit_with_another_code_is_a_failed_start).needs(&[Need::Wasi]),
];

/// Appends a digit for each export that runs. A call answers the number.
const RECORDER: &str = r#"
  (global $order (mut i32) (i32.const 0))
  (func $note (param $digit i32)
    (global.set $order (i32.add (i32.mul (global.get $order) (i32.const 10)) (local.get $digit))))
  (func $run (param i32 i32) (result i32) (call $answer_i32 (global.get $order)))
"#;

fn recorder(exports: &[(&str, i32)]) -> Guest {
    let functions: String = exports
        .iter()
        .map(|(name, digit)| format!("(func (export {name:?}) (call $note (i32.const {digit})))\n"))
        .collect();
    Guest::new(&format!("{RECORDER} {functions}"))
}

fn the_exports_run_once_in_order_before_the_first_call(subject: &Subject) {
    // Declared in another order than they must run in.
    let exports = [("wapc_init", 3), ("_start", 2), ("_initialize", 1)];
    let functions: String = exports
        .iter()
        .map(|(name, digit)| format!("(func (export {name:?}) (call $note (i32.const {digit})))\n"))
        .collect();
    // The start section is part of the instantiation, so it comes first.
    let section = "(start $section) (func $section (call $note (i32.const 9)))";
    let host = subject.host(Guest::new(&format!("{RECORDER} {functions} {section}")));
    assert_eq!(host.number("order", b""), 9123);
    assert_eq!(host.number("order", b""), 9123, "the exports run once, not before each call");
    host.counted(3);
}

fn each_export_is_optional(subject: &Subject) {
    for (exports, order) in [
        (&[][..], 0),
        (&[("_initialize", 1)], 1),
        (&[("_start", 2)], 2),
        (&[("wapc_init", 3)], 3),
        (&[("_start", 2), ("wapc_init", 3)], 23),
        (&[("_initialize", 1), ("wapc_init", 3)], 13),
    ] {
        assert_eq!(subject.host(recorder(exports)).number("order", b""), order, "{exports:?}");
    }
}

fn a_reactor_that_forgets_nothing_keeps_its_state(subject: &Subject) {
    // Reactors of TinyGo and Go work like this: without `_initialize` there is no heap, and every
    // call traps.
    let host = subject.host(Guest::new(
        r#"(global $heap (mut i32) (i32.const 0))
           (func (export "_initialize") (global.set $heap (i32.const 4096)))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (i32.eqz (global.get $heap)) (then unreachable))
             (i32.store (global.get $heap) (i32.add (i32.load (global.get $heap)) (i32.const 5)))
             (call $answer_i32 (i32.load (global.get $heap))))"#,
    ));
    assert_eq!([host.number("run", b""), host.number("run", b""), host.number("run", b"")], [5, 10, 15]);
}

fn a_fresh_instance_is_started_again(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(global $started (mut i32) (i32.const 0))
           (func (export "wapc_init") (global.set $started (i32.add (global.get $started) (i32.const 1))))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (local.get $msg) (then unreachable))
             (call $answer_i32 (global.get $started)))"#,
    ));
    assert_eq!(host.number("run", b""), 1);
    host.fails("run", b"trap", Failure::TRAPPED);
    assert_eq!(host.number("run", b""), 1);
}

#[track_caller]
fn fails_to_start(subject: &Subject, body: &str, says_what: &[&str], kind: ErrorKind) {
    let body = format!("{body} (func $run (param i32 i32) (result i32) (i32.const 1))");
    let error = subject.refuses(Guest::new(&body), Failure::INIT_FAILED);
    assert!(error.to_string().starts_with("Initialization failed: "), "{error}");
    says(&error, says_what);
    assert_eq!(cause(&error).kind(), kind, "{error:#?}");
    assert!(!error.is_deadline());
}

fn a_trap_in_initialize_is_a_failed_start(subject: &Subject) {
    let body = r#"(func (export "_initialize") unreachable)"#;
    fails_to_start(subject, body, &["_initialize"], ErrorKind::Trapped);
}

fn a_trap_in_start_is_a_failed_start(subject: &Subject) {
    fails_to_start(subject, r#"(func (export "_start") unreachable)"#, &["_start"], ErrorKind::Trapped);
}

fn a_trap_in_wapc_init_is_a_failed_start(subject: &Subject) {
    fails_to_start(subject, r#"(func (export "wapc_init") unreachable)"#, &["wapc_init"], ErrorKind::Trapped);
}

fn a_trap_in_the_start_section_is_a_failed_start(subject: &Subject) {
    fails_to_start(subject, "(start $section) (func $section unreachable)", &["start"], ErrorKind::Trapped);
}

fn a_data_segment_outside_memory_is_a_failed_start(subject: &Subject) {
    fails_to_start(subject, r#"(data (i32.const 65535) "too long")"#, &[], ErrorKind::Trapped);
}

fn after_a_trap_in_one_export_the_others_do_not_run(subject: &Subject) {
    let log = Log::default();
    let guest = Guest::new(
        r#"(func $run (param i32 i32) (result i32) (i32.const 1))
           (func (export "_initialize") (call $console_log (i32.const 0) (i32.const 5)))
           (func (export "_start") unreachable)
           (func (export "wapc_init") (call $console_log (i32.const 5) (i32.const 6)))
           (data (i32.const 0) "first" ) (data (i32.const 5) "second")"#,
    );
    subject.refuses(guest.log(&log), Failure::INIT_FAILED);
    assert_eq!(log.texts(), ["first"]);
}

fn the_start_section_may_log_and_use_memory(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        Guest::new(
            r#"(start $section)
               (func $section
                 (i32.store (i32.const 512) (i32.const 42))
                 (call $console_log (i32.const 0) (i32.const 5)))
               (func $run (param i32 i32) (result i32) (call $answer_i32 (i32.load (i32.const 512))))
               (data (i32.const 0) "early")"#,
        )
        .log(&log),
    );
    assert_eq!(log.texts(), ["early"]);
    assert_eq!(host.number("run", b""), 42);
}

fn a_response_or_an_error_that_the_start_sets_is_dropped(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(start $set)
           (func $set
             (call $guest_response (i32.const 0) (i32.const 5))
             (call $guest_error (i32.const 0) (i32.const 5)))
           (func (export "wapc_init") (call $set))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (i32.eqz (local.get $msg)))
           (data (i32.const 0) "early")"#,
    ));
    host.fails("run", b"", Failure::MISBEHAVED);
    let error = host.fails("run", b"0", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), None);
}

fn the_start_has_no_request_to_ask_for(subject: &Subject) {
    // Checked in a rebuild as well, which runs on the way to a call.
    let host = subject.host(Guest::new(
        r#"(start $section)
           (func $section (call $guest_request (i32.const 256) (i32.const 512)))
           (func (export "wapc_init") (call $section) (call $guest_request (i32.const -1) (i32.const -1)))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (local.get $msg) (then unreachable))
             (call $answer_i32 (i32.add (i32.load (i32.const 256)) (i32.load (i32.const 512)))))"#,
    ));
    assert_eq!(host.number("look", b""), 0);
    host.fails("trap", b"payload", Failure::TRAPPED);
    assert_eq!(host.number("look", b""), 0);
}

/// Calls the host from the start section and from `wapc_init`. Answers the results of both, and the
/// last error.
const EARLY_CALLER: &str = r#"
  (global $section (mut i32) (i32.const -1))
  (global $init (mut i32) (i32.const -1))
  (global $len (mut i32) (i32.const -1))
  (start $section)
  (func $section (global.set $section (call $ask (i32.const 0) (i32.const 5))))
  (func (export "wapc_init")
    (global.set $init (call $ask (i32.const 0) (i32.const 5)))
    (call $host_error (i32.const 520))
    (call $host_response (i32.const 520))
    (global.set $len (i32.add (call $host_error_len) (call $host_response_len))))
  (func $run (param i32 i32) (result i32)
    (i32.store (i32.const 512) (global.get $section))
    (i32.store (i32.const 516) (global.get $init))
    (call $answer (i32.const 512) (i32.add (i32.const 8) (global.get $len))))
  (data (i32.const 0) "early")
"#;

fn host_calls_of_the_start_are_refused_with_a_reason(subject: &Subject) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let host = subject.host(Guest::new(EARLY_CALLER).answers(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::new())
    }));
    let answer = host.answer("run", b"");
    assert_eq!(&answer[..8], [0; 8]);
    says(String::from_utf8_lossy(&answer[8..]), &["host call", "initiali"]);
    assert_eq!(calls.load(Ordering::Relaxed), 0, "the handler was called during the start");
}

fn host_calls_of_the_start_are_served_where_the_builder_allows_them(subject: &Subject) {
    let host = subject.host(
        Guest::new(EARLY_CALLER)
            .host_calls_in_init()
            .answers(|call| Ok(Bytes::from(call.payload.to_ascii_uppercase()))),
    );
    assert_eq!(host.answer("run", b""), b"\x01\0\0\0\x01\0\0\0EARLY");
}

fn a_handler_that_panics_during_the_start_is_caught(subject: &Subject) {
    let guest = Guest::new(EARLY_CALLER).host_calls_in_init().answers(|_| panic_quietly("too early"));
    let error = subject.refuses(guest, Failure::INIT_FAILED);
    assert_eq!(cause(&error).kind(), ErrorKind::HostPanicked);
    says(cause(&error), &["too early"]);
}

fn a_wild_pointer_during_the_start_is_a_failed_start(subject: &Subject) {
    let body = r#"(func (export "wapc_init") (call $console_log (i32.const -1) (i32.const 1)))"#;
    fails_to_start(subject, body, &["wapc_init"], ErrorKind::Trapped);
    let body = "(start $section) (func $section (call $guest_response (i32.const 65535) (i32.const 2)))";
    fails_to_start(subject, body, &["start"], ErrorKind::Trapped);
}

fn an_abort_during_the_start_is_a_failed_start_with_its_text(subject: &Subject) {
    let guest = Guest::new(
        r#"(func $abort (import "env" "abort") (param i32 i32 i32 i32))
           (func (export "_start") (call $abort (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 2)))
           (func $run (param i32 i32) (result i32) (i32.const 1))
           (data (i32.const 0) "\04\00\00\00n\00o\00")"#,
    );
    let error = subject.refuses(guest, Failure::INIT_FAILED);
    assert_eq!(cause(&error).kind(), ErrorKind::Trapped);
    says(cause(&error), &["no"]);
}

fn a_rebuild_that_fails_is_reported_and_tried_again(subject: &Subject) {
    // `wapc_init` traps where the handler says so: at the second and third start.
    let starts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&starts);
    let host = subject.host(
        Guest::new(
            r#"(func (export "wapc_init")
                 (if (i32.eqz (call $ask (i32.const 0) (i32.const 0))) (then unreachable)))
               (func $run (param i32 i32) (result i32) unreachable)"#,
        )
        .host_calls_in_init()
        .answers(move |_| match counter.fetch_add(1, Ordering::Relaxed) {
            1 | 2 => Err("not now".into()),
            _ => Ok(Bytes::new()),
        }),
    );
    host.counted(1);
    Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    for _ in 0..2 {
        let error = host.call("run", b"").unwrap_err();
        Failure::INIT_FAILED.check(&error);
        says(&error, &["wapc_init"]);
    }
    // The third rebuild succeeds and serves.
    host.counted(1);
    assert_eq!(starts.load(Ordering::Relaxed), 4);
}

fn exiting(export: &str, code: u32) -> Guest {
    Guest::new(&format!(
        r#"(func $exit (import "wasi_snapshot_preview1" "proc_exit") (param i32))
           (global $before (mut i32) (i32.const 0))
           (func (export {export:?}) (global.set $before (i32.const 7)) (call $exit (i32.const {code})))
           (func $run (param i32 i32) (result i32) (call $answer_i32 (global.get $before)))"#
    ))
}

fn an_exit_with_code_0_in_initialize_or_start_is_success(subject: &Subject) {
    for export in ["_initialize", "_start"] {
        let host = subject.host(exiting(export, 0));
        assert_eq!(host.number("run", b""), 7, "{export}");
        host.counted(2);
    }
}

fn an_exit_with_another_code_is_a_failed_start(subject: &Subject) {
    for (export, code) in [("_initialize", 1), ("_start", 3), ("_start", 255), ("wapc_init", 2)] {
        let error = subject.refuses(exiting(export, code), Failure::INIT_FAILED);
        says(&error, &[export]);
        assert_eq!(cause(&error).exit_code(), Some(code as i32), "{error:#?}");
    }
}
