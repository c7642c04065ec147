//! Every import, in every place where guest code can run before the first call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, Limits};

use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Failure, cause, panic_quietly, says};

pub(super) const CASES: &[Case] = &[
    case!(hostile_imports_anywhere::every_import_is_harmless_in_the_start_section).hostile(),
    case!(hostile_imports_anywhere::every_import_is_harmless_in_initialize).hostile(),
    case!(hostile_imports_anywhere::every_import_is_harmless_in_start).hostile(),
    case!(hostile_imports_anywhere::every_import_is_harmless_in_wapc_init).hostile(),
    case!(hostile_imports_anywhere::a_request_has_nothing_to_write_even_to_wild_pointers).hostile(),
    case!(hostile_imports_anywhere::a_host_response_has_nothing_to_write_even_to_wild_pointers).hostile(),
    case!(hostile_imports_anywhere::a_wild_response_fails_the_start).hostile(),
    case!(hostile_imports_anywhere::a_wild_error_fails_the_start).hostile(),
    case!(hostile_imports_anywhere::a_wild_log_line_fails_the_start).hostile(),
    case!(hostile_imports_anywhere::a_wild_host_call_fails_the_start_although_it_would_be_refused).hostile(),
    case!(hostile_imports_anywhere::a_wild_pointer_for_the_reason_of_a_refusal_fails_the_start).hostile(),
    case!(hostile_imports_anywhere::an_abort_fails_the_start).hostile(),
    case!(hostile_imports_anywhere::a_response_over_its_limit_fails_the_start).hostile(),
    case!(hostile_imports_anywhere::host_calls_are_served_in_each_place_where_they_are_allowed).hostile(),
    case!(hostile_imports_anywhere::a_wild_answer_fails_the_start_where_host_calls_are_allowed).hostile(),
    case!(hostile_imports_anywhere::a_handler_that_panics_fails_the_start_in_each_place).hostile(),
    case!(hostile_imports_anywhere::all_of_the_start_shares_one_budget_of_host_calls).hostile(),
    case!(hostile_imports_anywhere::all_of_the_start_shares_one_budget_of_bytes).hostile(),
    case!(hostile_imports_anywhere::refused_host_calls_of_the_start_are_counted_too).hostile(),
    case!(hostile_imports_anywhere::the_instance_after_a_trap_starts_as_cleanly_as_the_first)
        .keeps_state()
        .hostile(),
    case!(hostile_imports_anywhere::a_rebuild_with_a_wild_pointer_is_a_failed_start).keeps_state().hostile(),
    case!(hostile_imports_anywhere::an_exit_with_code_0_ends_only_the_exports_that_may_exit)
        .needs(&[Need::Wasi])
        .hostile(),
    case!(hostile_imports_anywhere::an_exit_after_a_response_drops_it).needs(&[Need::Wasi]).hostile(),
    case!(hostile_imports_anywhere::imports_see_memory_that_the_start_section_grew).hostile(),
];

/// The places where guest code runs before the first call, and how a module declares its `$early`
/// there.
const PLACES: [(&str, &str); 4] = [
    ("start section", "(start $early)"),
    ("_initialize", r#"(export "_initialize" (func $early))"#),
    ("_start", r#"(export "_start" (func $early))"#),
    ("wapc_init", r#"(export "wapc_init" (func $early))"#),
];

/// Returns a guest that runs `code` early and answers the four bytes at 512.
fn early(place: &str, code: &str) -> Guest {
    Guest::new(&format!(
        r#"(func $abort (import "env" "abort") (param i32 i32 i32 i32))
           (func $early {code})
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (local.get $msg) (then unreachable))
             (call $answer (i32.const 512) (i32.const 4)))
           (data (i32.const 0) "early")
           {place}"#
    ))
}

/// Runs `code` in each place, where it must fail the start. The error must name the place and the
/// cause.
#[track_caller]
fn fails_everywhere(
    subject: &Subject,
    code: &str,
    kind: ErrorKind,
    parts: &[&str],
    with: fn(Guest) -> Guest,
) {
    for (name, place) in PLACES {
        let error = subject.refuses(with(early(place, code)), Failure::INIT_FAILED);
        says(&error, &[name]);
        assert_eq!(cause(&error).kind(), kind, "{name}: {error:#?}");
        says(cause(&error), parts);
        assert!(!error.is_deadline());
    }
}

/// Calls all imports with valid pointers, at a time when none of them has anything to do.
#[track_caller]
fn harmless(subject: &Subject, place: usize) {
    let (name, place) = PLACES[place];
    let log = Log::default();
    let code = r#"
      (call $guest_request (i32.const 512) (i32.const 512))
      (call $guest_response (i32.const 0) (i32.const 5))
      (call $guest_error (i32.const 0) (i32.const 5))
      (call $host_response (i32.const 512))
      (call $host_error (i32.const 512))
      (call $console_log (i32.const 0) (i32.const 5))
      (i32.store8 (i32.const 512) (i32.add (call $host_response_len) (call $host_error_len)))
      (i32.store8 (i32.const 513) (call $ask (i32.const 0) (i32.const 5)))
      (i32.store8 (i32.const 514) (call $host_response_len))
      (i32.store8 (i32.const 515) (i32.gt_u (call $host_error_len) (i32.const 10)))
      (call $host_error (i32.const 1024))
      (call $console_log (i32.const 1024) (call $host_error_len))"#;
    let guest = early(place, code).log(&log).answers(|_| panic_quietly("a handler ran during the start"));
    let host = subject.host(guest);
    let texts = log.texts();
    assert_eq!((texts.len(), texts[0].as_str()), (2, "early"), "{name}");
    says(&texts[1], &["host call", "initiali"]);
    // All lengths are zero at first. The host call is refused: it leaves no answer but an error.
    assert_eq!(host.answer("run", b""), [0, 0, 0, 1], "{name}");
    host.counted(2);
}

fn every_import_is_harmless_in_the_start_section(subject: &Subject) {
    harmless(subject, 0);
}

fn every_import_is_harmless_in_initialize(subject: &Subject) {
    harmless(subject, 1);
}

fn every_import_is_harmless_in_start(subject: &Subject) {
    harmless(subject, 2);
}

fn every_import_is_harmless_in_wapc_init(subject: &Subject) {
    harmless(subject, 3);
}

/// Expects `code` to do nothing in any place.
#[track_caller]
fn starts_everywhere(subject: &Subject, code: &str) {
    for (name, place) in PLACES {
        let host = subject.host(early(place, code));
        assert_eq!(host.number("run", b""), 0, "{name}");
        host.counted(2);
    }
}

fn a_request_has_nothing_to_write_even_to_wild_pointers(subject: &Subject) {
    starts_everywhere(
        subject,
        "(call $guest_request (i32.const -1) (i32.const -1))
         (call $guest_request (i32.const 0x80000000) (i32.const 65536))",
    );
}

fn a_host_response_has_nothing_to_write_even_to_wild_pointers(subject: &Subject) {
    starts_everywhere(
        subject,
        "(call $host_response (i32.const -1)) (call $host_error (i32.const -1))
         ;; A refused call leaves an error, and still no answer.
         (drop (call $ask (i32.const 0) (i32.const 5)))
         (call $host_response (i32.const 0x80000000))",
    );
}

fn same(guest: Guest) -> Guest {
    guest
}

fn a_wild_response_fails_the_start(subject: &Subject) {
    let code = "(call $guest_response (i32.const 65530) (i32.const 7))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["__guest_response", "0xfffa", "7"], same);
}

fn a_wild_error_fails_the_start(subject: &Subject) {
    let code = "(call $guest_error (i32.const -8) (i32.const 16))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["__guest_error", "0xfffffff8", "16"], same);
}

fn a_wild_log_line_fails_the_start(subject: &Subject) {
    let code = "(call $console_log (i32.const 65536) (i32.const 1))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["__console_log", "0x10000", "1"], same);
}

fn a_wild_host_call_fails_the_start_although_it_would_be_refused(subject: &Subject) {
    let code = "(drop (call $ask (i32.const 1) (i32.const 65536)))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["__host_call", "0x1", "65536"], same);
}

fn a_wild_pointer_for_the_reason_of_a_refusal_fails_the_start(subject: &Subject) {
    let code = "(drop (call $ask (i32.const 0) (i32.const 5))) (call $host_error (i32.const 65535))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["__host_error", "0xffff"], same);
}

fn an_abort_fails_the_start(subject: &Subject) {
    // Null, wild and empty strings.
    let code = "(call $abort (i32.const 0) (i32.const -1) (i32.const 7) (i32.const 8))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["abort", "7:8"], same);
}

fn a_response_over_its_limit_fails_the_start(subject: &Subject) {
    let code = "(call $guest_response (i32.const 0) (i32.const 11))";
    fails_everywhere(subject, code, ErrorKind::TooLarge, &["response", "11", "10"], |guest| {
        guest.limits(Limits::new().response(10))
    });
}

fn host_calls_are_served_in_each_place_where_they_are_allowed(subject: &Subject) {
    let code = "(drop (call $ask (i32.const 0) (i32.const 5))) (call $host_response (i32.const 512))";
    for (name, place) in PLACES {
        let guest = early(place, code).host_calls_in_init().answers(|call| {
            assert_eq!((call.binding, call.namespace, call.operation), ("binding", "namespace", "operation"));
            Ok(call.payload.to_ascii_uppercase().into())
        });
        let host = subject.host(guest);
        assert_eq!(host.answer("run", b""), b"EARL", "{name}");
        host.counted(2);
    }
}

fn a_wild_answer_fails_the_start_where_host_calls_are_allowed(subject: &Subject) {
    let code = "(drop (call $ask (i32.const 0) (i32.const 5))) (call $host_response (i32.const 65533))";
    fails_everywhere(subject, code, ErrorKind::Trapped, &["__host_response", "0xfffd", "4"], |guest| {
        guest.host_calls_in_init().answers(|_| Ok(Bytes::from_static(b"four")))
    });
}

fn a_handler_that_panics_fails_the_start_in_each_place(subject: &Subject) {
    let code = "(drop (call $ask (i32.const 0) (i32.const 5)))";
    fails_everywhere(subject, code, ErrorKind::HostPanicked, &["not up yet"], |guest| {
        guest.host_calls_in_init().answers(|_| panic_quietly("not up yet"))
    });
}

/// Returns a guest that runs `$early` in all four places.
fn four_times(code: &str) -> Guest {
    early(&PLACES.map(|(_, place)| place).join(" "), code)
}

const THREE_CALLS: &str = "(local $n i32) (local.set $n (i32.const 3))
   (loop $again
     (drop (call $ask (i32.const 0) (i32.const 5)))
     (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";

/// Expects the start to fail in `place`, where the budget that all four places share is spent.
#[track_caller]
fn budget_ends_in(subject: &Subject, guest: Guest, place: &str, limit: u64) {
    let error = subject.refuses(guest, Failure::INIT_FAILED);
    says(&error, &[place]);
    assert_eq!(cause(&error).kind(), ErrorKind::HostCallLimit, "{error:#?}");
    says(cause(&error), &[&limit.to_string()]);
}

fn all_of_the_start_shares_one_budget_of_host_calls(subject: &Subject) {
    for (limit, place) in [(2, "start section"), (5, "_initialize"), (8, "_start"), (11, "wapc_init")] {
        let limits = Limits::new().host_calls(limit);
        let guest = four_times(THREE_CALLS).limits(limits).host_calls_in_init();
        budget_ends_in(subject, guest.answers(|_| Ok(Bytes::new())), place, limit);
    }
    // Just enough; and the first call has a budget of its own.
    let guest = four_times(THREE_CALLS).limits(Limits::new().host_calls(12)).host_calls_in_init();
    assert_eq!(subject.host(guest.answers(|_| Ok(Bytes::new()))).count(), 1);
}

fn all_of_the_start_shares_one_budget_of_bytes(subject: &Subject) {
    // Ten bytes a call: five for the handler, five back.
    let answer = || Ok(Bytes::from_static(b"LATER"));
    for (limit, place) in [(29, "start section"), (31, "_initialize"), (89, "_start"), (119, "wapc_init")] {
        let limits = Limits::new().host_call_bytes(limit);
        let guest = four_times(THREE_CALLS).limits(limits).host_calls_in_init();
        budget_ends_in(subject, guest.answers(move |_| answer()), place, limit);
    }
    let guest = four_times(THREE_CALLS).limits(Limits::new().host_call_bytes(120)).host_calls_in_init();
    assert_eq!(subject.host(guest.answers(move |_| answer())).count(), 1);
}

fn refused_host_calls_of_the_start_are_counted_too(subject: &Subject) {
    let endless = "(loop (drop (call $ask (i32.const 0) (i32.const 5))) (br 0))";
    fails_everywhere(subject, endless, ErrorKind::HostCallLimit, &["1000"], same);
}

fn the_instance_after_a_trap_starts_as_cleanly_as_the_first(subject: &Subject) {
    // The early code counts in memory, and leaves an error, a response and the error of a refused
    // host call.
    let log = Log::default();
    let host = subject.host(
        four_times(
            "(call $guest_response (i32.const 0) (i32.const 5))
             (call $guest_error (i32.const 0) (i32.const 5))
             (drop (call $ask (i32.const 0) (i32.const 5)))
             (call $guest_request (i32.const 512) (i32.const 512))
             (call $console_log (i32.const 0) (i32.const 5))
             (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))",
        )
        .log(&log),
    );
    for round in 1..=3 {
        assert_eq!(host.number("run", b""), 4);
        assert_eq!(log.texts(), ["early"; 4], "round {round}");
        // The rebuild must not be able to read the payload, and the error that its start sets must
        // be forgotten.
        let error = host.call("run", b"secret").unwrap_err();
        Failure::TRAPPED.check(&error);
        assert_eq!(error.guest_error(), None);
    }
    host.counted(1);
}

fn a_rebuild_with_a_wild_pointer_is_a_failed_start(subject: &Subject) {
    for (name, place) in PLACES {
        // The handler refuses at the second start, and only then is the pointer wild.
        let starts = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&starts);
        let code = "(if (i32.eqz (call $ask (i32.const 0) (i32.const 0)))
                      (then (call $guest_error (i32.const -1) (i32.const 2))))";
        let host = subject.host(early(place, code).host_calls_in_init().answers(move |_| {
            match counter.fetch_add(1, Ordering::Relaxed) {
                1 => Err("now".into()),
                _ => Ok(Bytes::new()),
            }
        }));
        host.counted(1);
        Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
        let error: Error = host.call("run", b"").unwrap_err();
        Failure::INIT_FAILED.check(&error);
        says(&error, &[name]);
        assert_eq!(cause(&error).kind(), ErrorKind::Trapped);
        // The next call gets its instance.
        host.counted(1);
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }
}

/// The import that ends a guest.
const EXIT: &str = r#"(func $exit (import "wasi_snapshot_preview1" "proc_exit") (param i32))"#;

fn an_exit_with_code_0_ends_only_the_exports_that_may_exit(subject: &Subject) {
    for (name, place) in PLACES {
        let guest = || {
            Guest::new(&format!(
                "{EXIT} (func $early (call $exit (i32.const 0)))
                 (func $run (param i32 i32) (result i32) (call $answer_i32 (i32.const 3))) {place}"
            ))
        };
        if name != "start section" {
            assert_eq!(subject.host(guest()).number("run", b""), 3, "{name}");
        } else {
            let error = subject.refuses(guest(), Failure::INIT_FAILED);
            says(&error, &[name]);
            assert_eq!(cause(&error).exit_code(), Some(0), "{name}");
        }
    }
}

fn an_exit_after_a_response_drops_it(subject: &Subject) {
    let host = subject.host(Guest::new(&format!(
        r#"{EXIT}
           (func (export "_start")
             (call $guest_response (i32.const 0) (i32.const 5))
             (call $guest_error (i32.const 0) (i32.const 5))
             (call $exit (i32.const 0)))
           (func $run (param $op i32) (param $msg i32) (result i32) (i32.eqz (local.get $msg)))
           (data (i32.const 0) "early")"#
    )));
    host.fails("run", b"", Failure::MISBEHAVED);
    assert_eq!(host.fails("run", b"0", Failure::GUEST_FAILED).guest_error(), None);
}

fn imports_see_memory_that_the_start_section_grew(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        Guest::new(
            r#"(start $grow)
               (func $grow
                 (drop (memory.grow (i32.const 2)))
                 (memory.copy (i32.const 196600) (i32.const 0) (i32.const 5))
                 (call $console_log (i32.const 196600) (i32.const 5)))
               (func (export "_initialize") (call $console_log (i32.const 196601) (i32.const 4)))
               (func $run (param i32 i32) (result i32) (call $answer (i32.const 196603) (i32.const 5)))
               (data (i32.const 0) "early")"#,
        )
        .log(&log),
    );
    assert_eq!(log.texts(), ["early", "arly"]);
    assert_eq!(host.answer("run", b""), b"ly\0\0\0");
}
