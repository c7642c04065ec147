//! Guests that keep the host busy in a straight line. They have no loop and no call of their own,
//! where engines check the time, but thousands of imports in a row, each with as much work as is
//! allowed.

use std::time::Duration;

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Bytes, Limits, Request};

use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Failure, cause, deadline_in, timed, took};

/// The deadline of every call and start.
const DEADLINE: Duration = Duration::from_millis(30);
const NEEDS: &[Need] = &[Need::Deadline];
const NEEDS_WASI: &[Need] = &[Need::Deadline, Need::Wasi];

pub(super) const CASES: &[Case] = &[
    case!(hostile_straight_lines::of_the_largest_requests).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::of_the_largest_responses).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::of_the_largest_errors).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::of_the_hosts_largest_answer).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::of_the_hosts_largest_error).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::of_random_bytes).needs(NEEDS_WASI).hostile(),
    case!(hostile_straight_lines::of_filling_and_copying).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::of_filling_tables).needs(NEEDS).hostile(),
    case!(hostile_straight_lines::in_the_start).needs(NEEDS).hostile(),
];

/// The length of the line: enough imports for some hundred milliseconds, few enough to compile
/// quickly.
const LINE: usize = 2000;

/// Returns a guest that runs `piece` `times` times and has [`DEADLINE`] for it.
fn line(times: usize, piece: &str, before: &str) -> Guest {
    Guest::with_memory(
        r#"(memory (export "memory") 1024)"#,
        &format!(
            "{before}
             (func $run (param i32 i32) (result i32)
               (drop (call $ask (i32.const 0) (i32.const 0)))
               {} (call $answer_i32 (i32.const 1)))",
            piece.repeat(times)
        ),
    )
    .limits(Limits::new().deadline(DEADLINE))
    .log(&Log::default())
}

/// Expects the guest to end by its deadline; one that passed it unnoticed would answer.
#[track_caller]
fn ends(subject: &Subject, guest: Guest) {
    let host = subject.host(guest);
    let request = Request::new("run", vec![7; 4 << 20]);
    let (result, elapsed) = timed(|| host.call_with(request));
    let Err(error) = result else { panic!("answered after {elapsed:?}, with a deadline of {DEADLINE:?}") };
    took(elapsed, DEADLINE);
    Failure::DEADLINE_IN_GUEST.check(&error);
    deadline_in(&error, Phase::Guest);
    assert_eq!(host.count_at_leisure(), 1);
}

fn of_the_largest_requests(subject: &Subject) {
    ends(subject, line(LINE, "(call $guest_request (i32.const 0) (i32.const 65536))", ""));
}

fn of_the_largest_responses(subject: &Subject) {
    ends(subject, line(LINE, "(call $guest_response (i32.const 0) (i32.const 0x400000))", ""));
}

fn of_the_largest_errors(subject: &Subject) {
    // Not UTF-8, which takes longest to decode.
    let fill = "(start $fill) (func $fill (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 65536)))";
    ends(subject, line(LINE, "(call $guest_error (i32.const 0) (i32.const 65536))", fill));
}

fn of_the_hosts_largest_answer(subject: &Subject) {
    let guest = line(LINE, "(call $host_response (i32.const 0))", "");
    ends(subject, guest.answers(|_| Ok(Bytes::from(vec![7; 4 << 20]))));
}

fn of_the_hosts_largest_error(subject: &Subject) {
    let guest = line(LINE, "(call $host_error (i32.const 0))", "");
    let limits = guest.module.limits.error_text(4 << 20);
    ends(subject, guest.limits(limits).answers(|_| Err("x".repeat(4 << 20).into())));
}

fn of_random_bytes(subject: &Subject) {
    // The most bytes that are drawn without a check of the time.
    let import = r#"(func $random_get (import "wasi_snapshot_preview1" "random_get")
                      (param i32 i32) (result i32))"#;
    ends(subject, line(LINE, "(drop (call $random_get (i32.const 0) (i32.const 0x40000)))", import));
}

fn of_filling_and_copying(subject: &Subject) {
    let piece = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000))
                 (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3ffffff))";
    ends(subject, line(100, piece, ""));
}

fn of_filling_tables(subject: &Subject) {
    let before = "(table $one 1000000 funcref) (table $two 1000000 funcref) (elem declare func $run)";
    let piece = "(table.fill $one (i32.const 0) (ref.func $run) (i32.const 1000000))
                 (table.copy $two $one (i32.const 0) (i32.const 0) (i32.const 1000000))
                 (table.copy $two $two (i32.const 1) (i32.const 0) (i32.const 999999))";
    let guest = line(500, piece, before);
    let limits = guest.module.limits.table_elements(1_000_000);
    ends(subject, guest.limits(limits));
}

fn in_the_start(subject: &Subject) {
    let piece = "(call $guest_response (i32.const 0) (i32.const 0x400000))".repeat(LINE);
    for place in ["(start $early)", r#"(export "_initialize" (func $early))"#] {
        let guest = Guest::with_memory(
            r#"(memory (export "memory") 1024)"#,
            &format!("(func $early {piece}) (func $run (param i32 i32) (result i32) (i32.const 1)) {place}"),
        );
        let guest = guest.limits(Limits::new().init_deadline(DEADLINE));
        let factory = subject.factory(&guest).expect("a module that compiles");
        let (error, elapsed) = timed(|| subject.start_on(&*factory, guest).err());
        took(elapsed, DEADLINE);
        let error = error.expect("a start that takes longer than it may");
        Failure::INIT_FAILED.check(&error);
        assert_eq!(cause(&error).kind(), ErrorKind::DeadlineExceeded);
    }
}
