//! Guests that never end, in every place where guest code runs and by every means of keeping it
//! running.

use std::time::Duration;

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Bytes, Limits, Request};

use crate::cases::SPIN;
use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Failure, deadline_in, timed, took};

/// The deadline of every call: a few ticks, because a guest spins until it.
const DEADLINE: Duration = Duration::from_millis(30);
const NEEDS: &[Need] = &[Need::Deadline];
const NEEDS_WASI: &[Need] = &[Need::Deadline, Need::Wasi];

pub(super) const CASES: &[Case] = &[
    case!(hostile_endless::a_jump_table).needs(NEEDS).hostile(),
    case!(hostile_endless::a_tail_call_of_itself).needs(NEEDS).hostile(),
    case!(hostile_endless::tail_calls_of_one_another).needs(NEEDS).hostile(),
    case!(hostile_endless::indirect_tail_calls).needs(NEEDS).hostile(),
    case!(hostile_endless::a_tree_of_calls_without_a_loop).needs(NEEDS).hostile(),
    case!(hostile_endless::a_loop_at_the_bottom_of_a_recursion).needs(NEEDS).hostile(),
    case!(hostile_endless::loops_within_loops_within_loops).needs(NEEDS).hostile(),
    case!(hostile_endless::divisions_and_roots).needs(NEEDS).hostile(),
    case!(hostile_endless::filling_all_of_the_memory).needs(NEEDS).hostile(),
    case!(hostile_endless::copying_half_of_the_memory_over_the_other).needs(NEEDS).hostile(),
    case!(hostile_endless::initialising_memory_from_a_segment).needs(NEEDS).hostile(),
    case!(hostile_endless::filling_a_table).needs(NEEDS).hostile(),
    case!(hostile_endless::copying_a_table_over_itself).needs(NEEDS).hostile(),
    case!(hostile_endless::initialising_a_table_from_a_segment).needs(NEEDS).hostile(),
    case!(hostile_endless::growing_by_nothing).needs(NEEDS).hostile(),
    case!(hostile_endless::growing_in_vain).needs(&[Need::Deadline, Need::MemoryLimit]).hostile(),
    case!(hostile_endless::growing_for_as_long_as_it_goes)
        .needs(&[Need::Deadline, Need::MemoryLimit])
        .hostile(),
    case!(hostile_endless::asking_for_the_largest_request).needs(NEEDS).hostile(),
    case!(hostile_endless::giving_the_largest_response).needs(NEEDS).hostile(),
    case!(hostile_endless::giving_the_largest_error).needs(NEEDS).hostile(),
    case!(hostile_endless::logging_the_largest_line).needs(NEEDS).hostile(),
    case!(hostile_endless::asking_how_long_the_hosts_answer_is).needs(NEEDS).hostile(),
    case!(hostile_endless::calling_a_host_that_refuses).needs(NEEDS).hostile(),
    case!(hostile_endless::calling_a_host_that_answers_largely).needs(NEEDS).hostile(),
    case!(hostile_endless::looking_at_the_clock).needs(NEEDS_WASI).hostile(),
    case!(hostile_endless::yielding).needs(NEEDS_WASI).hostile(),
    case!(hostile_endless::drawing_a_memory_of_random_bytes).needs(NEEDS_WASI).hostile(),
    case!(hostile_endless::writing_to_the_output).needs(NEEDS_WASI).hostile(),
    case!(hostile_endless::waiting_for_no_time_at_all).needs(NEEDS_WASI).hostile(),
    case!(hostile_endless::after_its_response).needs(NEEDS).hostile(),
    case!(hostile_endless::after_its_error).needs(NEEDS).hostile(),
    case!(hostile_endless::after_a_host_call_that_failed).needs(NEEDS).hostile(),
    case!(hostile_endless::in_the_call_after_a_trap).needs(NEEDS).hostile(),
    case!(hostile_endless::in_every_call_of_many).needs(NEEDS).hostile(),
];

/// Returns a guest with 64 MiB of memory that only its deadline ends.
fn endless(body: &str) -> Guest {
    Guest::with_memory(r#"(memory (export "memory") 1024)"#, body)
        .limits(Limits::new().deadline(DEADLINE).host_calls(u64::MAX).host_call_bytes(u64::MAX))
        .log(&Log::default())
}

/// Returns a guest that repeats `piece` forever.
fn looping(piece: &str) -> Guest {
    endless(&format!(
        "(func $run (param i32 i32) (result i32) (loop $again {piece} (br $again)) unreachable)"
    ))
}

/// Expects a call to end in guest code, at its deadline and not much later.
#[track_caller]
fn ends(subject: &Subject, guest: Guest) {
    let host = subject.host(guest);
    assert_eq!(host.count_at_leisure(), 1);
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    Failure::DEADLINE_IN_GUEST.check(&error);
    deadline_in(&error, Phase::Guest);
    took(elapsed, DEADLINE);
    assert_eq!(host.count_at_leisure(), 1, "the instance is discarded");
}

fn a_jump_table(subject: &Subject) {
    ends(
        subject,
        endless(
            "(func $run (param $op i32) (param $n i32) (result i32)
               (loop $a (loop $b (loop $c
                 (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 1103515245)) (i32.const 12345)))
                 (br_table $a $b $c $a $b (i32.shr_u (local.get $n) (i32.const 28))))))
               unreachable)",
        ),
    );
}

fn a_tail_call_of_itself(subject: &Subject) {
    ends(
        subject,
        endless("(func $run (param i32 i32) (result i32) (return_call $run (local.get 1) (local.get 0)))"),
    );
}

fn tail_calls_of_one_another(subject: &Subject) {
    ends(
        subject,
        endless(
            "(func $run (param i32 i32) (result i32) (return_call $other (i64.const 1) (local.get 0)))
             (func $other (param i64 i32) (result i32) (return_call $third (local.get 1)))
             (func $third (param i32) (result i32) (return_call $run (local.get 0) (local.get 0)))",
        ),
    );
}

fn indirect_tail_calls(subject: &Subject) {
    ends(
        subject,
        endless(
            "(type $run (func (param i32 i32) (result i32)))
             (table funcref (elem $run $other))
             (func $run (param i32 i32) (result i32)
               (return_call_indirect (type $run) (local.get 0) (local.get 1) (i32.const 1)))
             (func $other (param i32 i32) (result i32)
               (return_call_indirect (type $run) (local.get 1) (local.get 0) (i32.const 0)))",
        ),
    );
}

fn a_tree_of_calls_without_a_loop(subject: &Subject) {
    // 2^60 calls, never more than 60 deep.
    ends(
        subject,
        endless(
            "(func $tree (param i32)
               (if (local.get 0) (then
                 (call $tree (i32.sub (local.get 0) (i32.const 1)))
                 (call $tree (i32.sub (local.get 0) (i32.const 1))))))
             (func $run (param i32 i32) (result i32) (call $tree (i32.const 60)) unreachable)",
        ),
    );
}

fn a_loop_at_the_bottom_of_a_recursion(subject: &Subject) {
    ends(
        subject,
        endless(
            "(func $down (param i32) (result i32)
               (if (i32.eqz (local.get 0)) (then (call $spin)))
               (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (local.get 0)))
             (func $run (param i32 i32) (result i32) (call $down (i32.const 2000)))",
        ),
    );
}

fn loops_within_loops_within_loops(subject: &Subject) {
    // Each loop ends, but together they would take a few hundred years.
    let (mut body, mut locals) = (String::from("(drop (i32.const 0))"), String::new());
    for depth in 0..20 {
        locals.push_str(&format!("(local $n{depth} i32)"));
        body = format!(
            "(local.set $n{depth} (i32.const 10))
             (loop $l{depth} {body}
               (br_if $l{depth} (local.tee $n{depth} (i32.sub (local.get $n{depth}) (i32.const 1)))))"
        );
    }
    ends(
        subject,
        endless(&format!("(func $run (param i32 i32) (result i32) {locals} {body} (i32.const 0))")),
    );
}

fn divisions_and_roots(subject: &Subject) {
    ends(
        subject,
        endless(
            "(func $run (param i32 i32) (result i32)
               (local $a i64) (local $b f64)
               (loop $again
                 (local.set $a (i64.add (i64.div_u (i64.const -1) (i64.or (local.get $a) (i64.const 1)))
                                        (i64.rem_s (i64.const 12345678901) (i64.or (local.get $a) (i64.const 3)))))
                 (local.set $b (f64.sqrt (f64.add (local.get $b) (f64.convert_i64_u (local.get $a)))))
                 (br $again))
               unreachable)",
        ),
    );
}

fn filling_all_of_the_memory(subject: &Subject) {
    ends(subject, looping("(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000))"));
}

fn copying_half_of_the_memory_over_the_other(subject: &Subject) {
    // The two areas overlap by all but one byte.
    ends(subject, looping("(memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3ffffff))"));
}

fn initialising_memory_from_a_segment(subject: &Subject) {
    let segment = "x".repeat(1 << 20);
    ends(
        subject,
        endless(&format!(
            "(func $run (param i32 i32) (result i32)
               (loop $again (memory.init $segment (i32.const 0) (i32.const 0) (i32.const 0x100000)) (br $again))
               unreachable)
             (data $segment \"{segment}\")"
        )),
    );
}

/// Returns a guest that repeats `piece` over two tables of the largest size, with a segment of
/// 10,000 references.
fn over_tables(piece: &str) -> Guest {
    let references = "$run ".repeat(10_000);
    endless(&format!(
        "(table $one 20000 funcref) (table $two 20000 funcref)
         (elem $segment func {references})
         (func $run (param i32 i32) (result i32) (loop $again {piece} (br $again)) unreachable)"
    ))
}

fn filling_a_table(subject: &Subject) {
    ends(subject, over_tables("(table.fill $one (i32.const 0) (ref.func $run) (i32.const 20000))"));
}

fn copying_a_table_over_itself(subject: &Subject) {
    ends(
        subject,
        over_tables(
            "(table.copy $one $one (i32.const 1) (i32.const 0) (i32.const 19999))
             (table.copy $two $one (i32.const 0) (i32.const 0) (i32.const 20000))",
        ),
    );
}

fn initialising_a_table_from_a_segment(subject: &Subject) {
    ends(subject, over_tables("(table.init $one $segment (i32.const 0) (i32.const 0) (i32.const 10000))"));
}

fn growing_by_nothing(subject: &Subject) {
    ends(subject, looping("(drop (memory.grow (i32.const 0)))"));
}

fn growing_in_vain(subject: &Subject) {
    // A refused growth does not turn the deadline into another error.
    ends(subject, looping("(drop (memory.grow (i32.const 1)))"));
}

fn growing_for_as_long_as_it_goes(subject: &Subject) {
    let body = "(func $run (param i32 i32) (result i32)
       (loop $again
         (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then
           (memory.fill (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 65536))
             (i32.const 1) (i32.const 65536))))
         (br $again))
       unreachable)";
    ends(subject, Guest::new(body).limits(Limits::new().deadline(DEADLINE)));
}

fn asking_for_the_largest_request(subject: &Subject) {
    let host = subject.host(looping("(call $guest_request (i32.const 65536) (i32.const 131072))"));
    let request = Request::new("run", vec![7; 4 << 20]);
    let (error, elapsed) = timed(|| host.call_with(request).unwrap_err());
    Failure::DEADLINE_IN_GUEST.check(&error);
    deadline_in(&error, Phase::Guest);
    took(elapsed, DEADLINE);
    assert_eq!(host.count_at_leisure(), 1);
}

fn giving_the_largest_response(subject: &Subject) {
    ends(subject, looping("(call $guest_response (i32.const 0) (i32.const 0x400000))"));
}

fn giving_the_largest_error(subject: &Subject) {
    ends(subject, looping("(call $guest_error (i32.const 0) (i32.const 0x4000000))"));
}

fn logging_the_largest_line(subject: &Subject) {
    ends(subject, looping("(call $console_log (i32.const 0) (i32.const 0x4000000))"));
}

fn asking_how_long_the_hosts_answer_is(subject: &Subject) {
    ends(subject, looping("(drop (call $host_response_len)) (drop (call $host_error_len))"));
}

fn calling_a_host_that_refuses(subject: &Subject) {
    // The payload exceeds its limit, so the protocol refuses it without calling the handler.
    let call = "(drop (call $ask (i32.const 0) (i32.const 0x400001)))";
    ends(subject, looping(call).answers(|_| Ok(Bytes::new())));
}

fn calling_a_host_that_answers_largely(subject: &Subject) {
    // The deadline may pass in the guest or in the host.
    let call = "(drop (call $ask (i32.const 0) (i32.const 0x400000))) (call $host_response (i32.const 0))";
    let answer = Bytes::from(vec![7; 4 << 20]);
    let host = subject.host(looping(call).answers(move |_| Ok(answer.clone())));
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
    took(elapsed, DEADLINE);
    assert_eq!(host.count_at_leisure(), 1);
}

/// Returns a guest that calls a function of WASI forever.
fn wasi(name: &str, params: &str, call: &str) -> Guest {
    endless(&format!(
        r#"(func ${name} (import "wasi_snapshot_preview1" "{name}") (param {params}) (result i32))
           (func $run (param i32 i32) (result i32) (loop $again (drop {call}) (br $again)) unreachable)
           ;; a span of four bytes, and a subscription to the monotonic clock for no time
           (data (i32.const 64) "\40\00\00\00\04\00\00\00")
           (data (i32.const 144) "\01")"#
    ))
}

fn looking_at_the_clock(subject: &Subject) {
    let call = "(call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 0))";
    ends(subject, wasi("clock_time_get", "i32 i64 i32", call));
}

fn yielding(subject: &Subject) {
    let guest = endless(
        r#"(func $sched_yield (import "wasi_snapshot_preview1" "sched_yield") (result i32))
           (func $run (param i32 i32) (result i32) (loop $again (drop (call $sched_yield)) (br $again)) unreachable)"#,
    );
    ends(subject, guest);
}

fn drawing_a_memory_of_random_bytes(subject: &Subject) {
    let call = "(call $random_get (i32.const 0) (i32.const 0x4000000))";
    ends(subject, wasi("random_get", "i32 i32", call));
}

fn writing_to_the_output(subject: &Subject) {
    let call = "(call $fd_write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 80))";
    ends(subject, wasi("fd_write", "i32 i32 i32 i32", call));
}

fn waiting_for_no_time_at_all(subject: &Subject) {
    let call = "(call $poll_oneoff (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 512))";
    ends(subject, wasi("poll_oneoff", "i32 i32 i32 i32", call));
}

fn after_its_response(subject: &Subject) {
    let guest = endless(
        "(func $run (param i32 i32) (result i32)
           (call $guest_response (i32.const 0) (i32.const 4)) (call $spin) (i32.const 1))",
    );
    let host = subject.host(guest);
    let mut buffer = b"of the caller".to_vec();
    let error = host.call_into("run", b"", &mut buffer).unwrap_err();
    Failure::DEADLINE_IN_GUEST.check(&error);
    assert_eq!((buffer.as_slice(), error.guest_error()), (&b""[..], None));
    assert_eq!(host.count_at_leisure(), 1);
}

fn after_its_error(subject: &Subject) {
    let guest = endless(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_error (i32.const 0) (i32.const 8)) (call $spin) (i32.const 1))
           (data (i32.const 0) "too busy")"#,
    );
    let host = subject.host(guest);
    let error = host.call("run", b"").unwrap_err();
    Failure::DEADLINE_IN_GUEST.check(&error);
    deadline_in(&error, Phase::Guest);
    assert_eq!(error.guest_error(), Some("too busy"));
    assert_eq!(host.count_at_leisure(), 1);
}

fn after_a_host_call_that_failed(subject: &Subject) {
    let guest = endless(
        "(func $run (param i32 i32) (result i32)
           (if (call $ask (i32.const 0) (i32.const 0)) (then unreachable))
           (call $spin) (i32.const 1))",
    );
    ends(subject, guest.answers(|_| Err("no".into())));
}

fn in_the_call_after_a_trap(subject: &Subject) {
    let guest = Guest::new(
        "(func $run (param $op i32) (param $msg i32) (result i32)
           (if (local.get $msg) (then unreachable)) (call $spin) (i32.const 1))",
    );
    let host = subject.host(guest.limits(Limits::new().deadline(DEADLINE)));
    Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    // The rebuild is part of the call, and its time counts from the call's start.
    deadline_in(&error, Phase::Guest);
    took(elapsed, DEADLINE);
    assert_eq!(host.count_at_leisure(), 1);
}

fn in_every_call_of_many(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN));
    let deadline = Duration::from_millis(20);
    for _ in 0..10 {
        let request = Request::new("run", b"").deadline(deadline);
        let (error, elapsed) = timed(|| host.call_with(request).unwrap_err());
        Failure::DEADLINE_IN_GUEST.check(&error);
        took(elapsed, deadline);
    }
    assert_eq!(host.count_at_leisure(), 1);
}
