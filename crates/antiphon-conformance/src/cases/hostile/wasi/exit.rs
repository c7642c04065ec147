//! Exits in the wrong place: `proc_exit` in every place where guest code runs.

use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, Limits, LogStream};

use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Failure, cause, says};

const NEEDS: &[Need] = &[Need::Wasi];

pub(super) const CASES: &[Case] = &[
    case!(hostile_wasi_exit::an_exit_in_the_start_section_is_a_failed_start_whatever_its_code)
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_exit::an_exit_in_the_middle_of_data_segments_and_start_leaves_no_instance)
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_exit::an_exit_in_initialize_fails_the_start_unless_it_is_zero).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_in_start_fails_the_start_unless_it_is_zero).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_in_wapc_init_fails_the_start_unless_it_is_zero).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_of_zero_in_one_init_export_does_not_skip_the_next)
        .keeps_state()
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_exit::the_first_exit_that_fails_is_the_one_reported).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_before_a_response_is_a_trap).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_behind_a_response_takes_it_back).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_behind_an_error_text_carries_both).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_behind_a_host_call_is_a_trap_like_any_other).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_behind_a_refused_growth_is_no_memory_limit)
        .needs(&[Need::Wasi, Need::MemoryLimit])
        .hostile(),
    case!(hostile_wasi_exit::an_exit_deep_in_recursion_is_no_stack_overflow).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_through_a_table_is_an_exit).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::a_rebuilt_instance_may_exit_again_and_again).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_instance_that_exits_while_it_is_rebuilt_fails_the_call)
        .keeps_state()
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_exit::a_module_that_exits_at_its_start_is_not_swapped_in).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_under_the_older_name_is_the_same).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::an_exit_behind_a_wait_is_an_exit).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::what_was_written_before_an_exit_is_logged).needs(NEEDS).hostile(),
    case!(hostile_wasi_exit::a_raised_signal_ends_nothing).needs(NEEDS).hostile(),
];

/// Success, failure, a negative number, the largest code of a shell, and two that a shell would cut
/// to zero.
const CODES: [i32; 6] = [0, 1, -1, 255, 256, i32::MIN];

const EXIT: &str = r#"(func $proc_exit (import "wasi_snapshot_preview1" "proc_exit") (param i32))"#;

/// Returns a guest that exits before its answer; `code` replaces `CODE` in `body`.
fn exiting(body: &str, code: i32) -> Guest {
    let body = body.replace("CODE", &format!("(i32.const {code})"));
    Guest::new(&format!("{EXIT} {body}")).limits(Limits::new().deadline(Duration::from_secs(1)))
}

/// Returns a guest that exits in its start; its operation does not matter.
fn starting(body: &str, code: i32) -> Guest {
    exiting(
        &format!("{body} (func $run (param i32 i32) (result i32) (call $answer_i32 (i32.const 5)))"),
        code,
    )
}

/// Expects that the error of a failed start names the function, and that its source is the exit.
#[track_caller]
fn failed_in(error: &Error, function: &str, code: i32) {
    says(error, &["Initialization failed: ", function]);
    let exit = cause(error);
    assert_eq!((exit.kind(), exit.exit_code()), (ErrorKind::Trapped, Some(code)), "{error:#?}");
}

fn an_exit_in_the_start_section_is_a_failed_start_whatever_its_code(subject: &Subject) {
    for code in CODES {
        let guest = starting("(start $go) (func $go (call $proc_exit CODE))", code);
        failed_in(&subject.refuses(guest, Failure::INIT_FAILED), "start section", code);
    }
}

fn an_exit_in_the_middle_of_data_segments_and_start_leaves_no_instance(subject: &Subject) {
    // The init exports after the start section would succeed, but must not run.
    let log = Log::default();
    let body = r#"(start $go) (func $go (call $console_log (i32.const 0) (i32.const 5)) (call $proc_exit CODE))
        (func (export "_initialize") (call $console_log (i32.const 5) (i32.const 5)))
        (func (export "_start") (call $console_log (i32.const 5) (i32.const 5)))
        (data (i32.const 0) "firstlater")"#;
    failed_in(&subject.refuses(starting(body, 0).log(&log), Failure::INIT_FAILED), "start section", 0);
    assert_eq!(log.texts(), ["first"]);
}

/// Checks an init export, which may end with an exit of 0 and with no other.
#[track_caller]
fn command(subject: &Subject, export: &str) {
    for code in CODES {
        let guest =
            starting(&format!("(func (export \"{export}\") (call $proc_exit CODE) unreachable)"), code);
        if code == 0 {
            let host = subject.host(guest);
            assert_eq!(host.number("run", b""), 5);
            // The exit discarded nothing.
            host.counted(2);
        } else {
            failed_in(&subject.refuses(guest, Failure::INIT_FAILED), export, code);
        }
    }
}

fn an_exit_in_initialize_fails_the_start_unless_it_is_zero(subject: &Subject) {
    command(subject, "_initialize");
}

fn an_exit_in_start_fails_the_start_unless_it_is_zero(subject: &Subject) {
    command(subject, "_start");
}

fn an_exit_in_wapc_init_fails_the_start_unless_it_is_zero(subject: &Subject) {
    command(subject, "wapc_init");
}

fn an_exit_of_zero_in_one_init_export_does_not_skip_the_next(subject: &Subject) {
    let body = r#"(func (export "_initialize") (call $console_log (i32.const 0) (i32.const 1)) (call $proc_exit CODE))
               (func (export "_start") (call $console_log (i32.const 1) (i32.const 1)) (call $proc_exit CODE))
               (func (export "wapc_init") (call $console_log (i32.const 2) (i32.const 1)) (call $proc_exit CODE))
               (data (i32.const 0) "isw")"#;
    let log = Log::default();
    assert_eq!(subject.host(starting(body, 0).log(&log)).number("run", b""), 5);
    assert_eq!(log.texts(), ["i", "s", "w"]);
}

fn the_first_exit_that_fails_is_the_one_reported(subject: &Subject) {
    let body = r#"(func (export "_initialize") (call $proc_exit (i32.const 0)))
                  (func (export "_start") (call $proc_exit (i32.const 7)))
                  (func (export "wapc_init") (call $proc_exit (i32.const 8)))"#;
    failed_in(&subject.refuses(starting(body, 0), Failure::INIT_FAILED), "_start", 7);
}

/// Checks a guest whose operation ends with an exit: each call fails with the code and gets a fresh
/// instance.
#[track_caller]
fn exits(subject: &Subject, body: &str, guest_error: Option<&str>) {
    for code in CODES {
        let host = subject.host(exiting(body, code).answers(|_| Ok(Bytes::from_static(b"answer"))));
        let error = host.fails("run", b"payload", Failure::TRAPPED);
        assert_eq!(error.exit_code(), Some(code), "{error:#?}");
        assert_eq!(error.guest_error(), guest_error);
        says(&error, &["Guest call failure: ", "exited with code"]);
        assert!(!error.is_guest_failure() && !error.is_limit());
    }
}

fn an_exit_before_a_response_is_a_trap(subject: &Subject) {
    let body = r#"(func $run (param i32 i32) (result i32)
                    (call $proc_exit CODE)
                    (call $answer (i32.const 0) (i32.const 6)))"#;
    exits(subject, body, None);
}

fn an_exit_behind_a_response_takes_it_back(subject: &Subject) {
    let body = r#"(func $run (param i32 i32) (result i32)
                    (call $guest_response (i32.const 0) (i32.const 6))
                    (call $guest_response (i32.const 0) (i32.const 0))
                    (call $proc_exit CODE)
                    (i32.const 1))"#;
    exits(subject, body, None);
}

fn an_exit_behind_an_error_text_carries_both(subject: &Subject) {
    let body = r#"(func $run (param i32 i32) (result i32)
                    (call $guest_error (i32.const 0) (i32.const 9))
                    (call $proc_exit CODE)
                    (i32.const 0))
                  (data (i32.const 0) "last word")"#;
    exits(subject, body, Some("last word"));
}

fn an_exit_behind_a_host_call_is_a_trap_like_any_other(subject: &Subject) {
    // Half of the answer is read, and another call is open.
    let body = r#"(func $run (param i32 i32) (result i32)
                    (if (i32.eqz (call $ask (i32.const 0) (i32.const 4))) (then unreachable))
                    (if (i32.ne (call $host_response_len) (i32.const 6)) (then unreachable))
                    (if (i32.eqz (call $ask (i32.const 0) (i32.const 4))) (then unreachable))
                    (call $proc_exit CODE)
                    (i32.const 1))"#;
    exits(subject, body, None);
}

fn an_exit_behind_a_refused_growth_is_no_memory_limit(subject: &Subject) {
    let body = r#"(func $run (param i32 i32) (result i32)
                    (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
                    (call $proc_exit CODE)
                    (i32.const 1))"#;
    exits(subject, body, None);
}

fn an_exit_deep_in_recursion_is_no_stack_overflow(subject: &Subject) {
    let body = r#"(func $down (param i32)
                    (if (i32.eqz (local.get 0)) (then (call $proc_exit CODE)))
                    (call $down (i32.sub (local.get 0) (i32.const 1)))
                    (call $guest_error (i32.const 0) (i32.const 1)))
                  (func $run (param i32 i32) (result i32)
                    (call $down (i32.const 500))
                    (i32.const 1))"#;
    exits(subject, body, None);
}

fn an_exit_through_a_table_is_an_exit(subject: &Subject) {
    let body = r#"(table funcref (elem $proc_exit))
                  (type $exit (func (param i32)))
                  (func $run (param i32 i32) (result i32)
                    (call_indirect (type $exit) CODE (i32.const 0))
                    (i32.const 1))"#;
    exits(subject, body, None);
}

fn a_rebuilt_instance_may_exit_again_and_again(subject: &Subject) {
    // The code is in the payload, so each instance exits with its own.
    let host = subject.host(exiting(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 256) (i32.const 0))
             (call $proc_exit (i32.load (i32.const 0)))
             (i32.const 1))
           (func (export "_start") (call $proc_exit (i32.const 0)))"#,
        0,
    ));
    for code in (0..40).chain(CODES) {
        let error = host.fails("run", &code.to_le_bytes(), Failure::TRAPPED);
        assert_eq!(error.exit_code(), Some(code));
    }
}

fn an_instance_that_exits_while_it_is_rebuilt_fails_the_call(subject: &Subject) {
    // The second start exits with 9, because the host's answer is another one then.
    let starts = std::sync::atomic::AtomicU8::new(0);
    let guest = exiting(
        r#"(func (export "_initialize")
             (if (call $ask (i32.const 0) (i32.const 0)) (then
               (call $host_response (i32.const 0))
               (call $proc_exit (i32.load8_u (i32.const 0))))))
           (func $run (param i32 i32) (result i32) unreachable)"#,
        0,
    )
    .host_calls_in_init()
    .answers(move |_| {
        let start = starts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Bytes::copy_from_slice(&[if start == 1 { 9 } else { 0 }]))
    });
    let host = subject.host(guest);
    host.counted(1);
    Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    let error = host.call("run", b"").unwrap_err();
    Failure::INIT_FAILED.check(&error);
    failed_in(&error, "_initialize", 9);
    // The third start is like the first.
    host.counted(1);
}

fn a_module_that_exits_at_its_start_is_not_swapped_in(subject: &Subject) {
    let host = subject.host(starting("", 0));
    host.counted(1);
    for (body, code) in [
        ("(start $go) (func $go (call $proc_exit CODE))", 0),
        ("(func (export \"_initialize\") (call $proc_exit CODE))", 3),
        ("(func (export \"wapc_init\") (call $proc_exit CODE))", 4),
    ] {
        let error = host.replace(&starting(body, code).module.bytes).unwrap_err();
        Failure::REPLACE_FAILED.check(&error);
        let init = cause(&error);
        assert_eq!(init.kind(), ErrorKind::InitFailed, "{error:#?}");
        assert_eq!(cause(init).exit_code(), Some(code));
    }
    // The old instance serves on.
    host.counted(2);
    host.replace(&starting("(func (export \"_start\") (call $proc_exit CODE))", 0).module.bytes).unwrap();
    host.counted(1);
}

fn an_exit_under_the_older_name_is_the_same(subject: &Subject) {
    for code in CODES {
        let guest = Guest::new(&format!(
            r#"(func $proc_exit (import "wasi_unstable" "proc_exit") (param i32))
               (func (export "_start") (call $proc_exit (i32.const 0)))
               (func $run (param i32 i32) (result i32) (call $proc_exit (i32.const {code})) (i32.const 1))"#
        ));
        let error = subject.host(guest).fails("run", b"", Failure::TRAPPED);
        assert_eq!(error.exit_code(), Some(code));
    }
}

fn an_exit_behind_a_wait_is_an_exit(subject: &Subject) {
    // The wait suspends the guest where the engine can; the exit then unwinds a stack that was left
    // and entered again.
    let body = r#"
        (func $poll (import "wasi_snapshot_preview1" "poll_oneoff") (param i32 i32 i32 i32) (result i32))
        (func $run (param i32 i32) (result i32)
          (i32.store (i32.const 16) (i32.const 1)) ;; the monotonic clock
          (i64.store (i32.const 24) (i64.const 12000000))
          (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 120)) (then unreachable))
          (if (i32.ne (i32.load (i32.const 120)) (i32.const 1)) (then unreachable))
          (call $proc_exit CODE)
          (i32.const 1))"#;
    exits(subject, body, None);
}

fn what_was_written_before_an_exit_is_logged(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        exiting(
            r#"(func $fd_write (import "wasi_snapshot_preview1" "fd_write") (param i32 i32 i32 i32) (result i32))
               (func $run (param i32 i32) (result i32)
                 (i32.store (i32.const 0) (i32.const 512))
                 (i32.store (i32.const 4) (i32.const 9))
                 (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
                 (call $proc_exit CODE)
                 (i32.const 1))
               (data (i32.const 512) "why: this")"#,
            1,
        )
        .log(&log),
    );
    for _ in 0..2 {
        let error = host.call("run", b"").unwrap_err();
        Failure::TRAPPED.check(&error);
        let lines: Vec<_> = log.take().into_iter().map(|line| (line.stream, line.text)).collect();
        // Logged without its newline, and not again by the next instance.
        assert_eq!(lines, [(LogStream::Stderr, "why: this".to_owned())]);
    }
}

fn a_raised_signal_ends_nothing(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $raise (import "wasi_snapshot_preview1" "proc_raise") (param i32) (result i32))
           (func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 256) (i32.const 0))
             (call $answer_i32 (call $raise (i32.load (i32.const 0)))))"#,
    ));
    // Including SIGKILL, SIGSEGV and SIGABRT: each is ENOTSUP, 58.
    for signal in (0..32).chain([-1, i32::MAX, i32::MIN]) {
        assert_eq!(host.number("run", &signal.to_le_bytes()), 58, "signal {signal}");
    }
    host.counted(36);
}
