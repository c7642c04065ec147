//! Recursion: of the guest into itself by every means, and through the host.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, Limits, Request};

use crate::suite::{Case, Guest, Host, Need, Subject, case};
use crate::support::{Answer, Failure, cause, says};

const NEEDS: &[Need] = &[Need::StackLimit];

pub(super) const CASES: &[Case] = &[
    case!(hostile_recursion::with_a_thousand_locals).needs(NEEDS).hostile(),
    case!(hostile_recursion::with_vectors_of_128_bits).needs(NEEDS).hostile(),
    case!(hostile_recursion::with_a_hundred_parameters_and_results).needs(NEEDS).hostile(),
    case!(hostile_recursion::of_two_functions).needs(NEEDS).hostile(),
    case!(hostile_recursion::through_a_table).needs(NEEDS).hostile(),
    case!(hostile_recursion::through_the_entry_point).needs(NEEDS).hostile(),
    case!(hostile_recursion::after_a_response_gives_none).needs(NEEDS).hostile(),
    case!(hostile_recursion::in_initialize).needs(NEEDS).hostile(),
    case!(hostile_recursion::in_start).needs(NEEDS).hostile(),
    case!(hostile_recursion::in_wapc_init).needs(NEEDS).hostile(),
    case!(hostile_recursion::in_a_rebuild).keeps_state().needs(NEEDS).hostile(),
    case!(hostile_recursion::fifty_overflows_in_a_row_are_survived).needs(NEEDS).hostile(),
    case!(hostile_recursion::every_import_at_every_depth_has_room).needs(NEEDS).hostile(),
    case!(hostile_recursion::a_handler_at_the_bottom_of_the_stack_has_room).needs(NEEDS).hostile(),
    case!(hostile_recursion::wild_pointers_at_the_bottom_of_the_stack_are_traps).needs(NEEDS).hostile(),
    case!(hostile_recursion::a_million_tail_calls_are_no_recursion).hostile(),
    case!(hostile_recursion::of_a_handler_into_its_host_is_refused_a_hundred_times).hostile(),
    case!(hostile_recursion::around_a_ring_of_three_hosts_is_refused).keeps_state().hostile(),
    case!(hostile_recursion::through_a_chain_of_hosts_ends_with_the_innermost).hostile(),
    case!(hostile_recursion::into_a_host_that_traps_leaves_the_outer_one_alone).hostile(),
    case!(hostile_recursion::with_the_bottom_of_one_guest_calling_another).needs(NEEDS).hostile(),
];

/// Recurses until the stack overflows, twice: the second time in a fresh instance.
#[track_caller]
fn overflows(subject: &Subject, body: &str) {
    let host = subject.host(Guest::new(body));
    for _ in 0..2 {
        let error = host.fails("run", b"", Failure::STACK_OVERFLOW);
        assert!(error.is_limit() && error.guest_error().is_none());
        // A backtrace of that many frames must not be kept in full.
        assert!(error.backtrace().is_none_or(|frames| frames.lines().count() < 100));
    }
}

fn with_a_thousand_locals(subject: &Subject) {
    // All locals are needed after the call, so all of them are kept across it: 8 KiB a frame.
    let set: String = (0..1000)
        .map(|n| format!("(local.set $l{n} (i64.add (i64.extend_i32_u (local.get $op)) (i64.const {n})))"))
        .collect();
    let add: String = (0..1000).map(|n| format!("(i64.add (local.get $l{n}) ")).collect();
    let locals: String = (0..1000).map(|n| format!("(local $l{n} i64)")).collect();
    overflows(
        subject,
        &format!(
            "(func $run (param $op i32) (param $msg i32) (result i32)
               {locals} {set}
               (local.set $op (call $run (i32.add (local.get $op) (i32.const 1)) (local.get $msg)))
               (i32.wrap_i64 {add} (i64.const 1) {}))",
            ")".repeat(1000)
        ),
    );
}

fn with_vectors_of_128_bits(subject: &Subject) {
    let locals: String = (0..64).map(|n| format!("(local $l{n} v128)")).collect();
    let set: String = (0..64).map(|n| format!("(local.set $l{n} (i32x4.splat (local.get $op)))")).collect();
    let add: String = (0..64).map(|n| format!("(i32x4.add (local.get $l{n}) ")).collect();
    overflows(
        subject,
        &format!(
            "(func $run (param $op i32) (param $msg i32) (result i32)
               {locals} {set}
               (local.set $op (call $run (i32.add (local.get $op) (i32.const 1)) (local.get $msg)))
               (i32x4.extract_lane 0 {add} (i32x4.splat (local.get $op)) {}))",
            ")".repeat(64)
        ),
    );
}

fn with_a_hundred_parameters_and_results(subject: &Subject) {
    let types = "i64 ".repeat(100);
    let params: String = (0..100).map(|n| format!("(local.get {n})")).collect();
    let zeros = "(i64.const 0)".repeat(100);
    overflows(
        subject,
        &format!(
            "(func $many (param {types}) (result {types})
               (call $many {params}) {} {params})
             (func $run (param i32 i32) (result i32) (call $many {zeros}) {} (i32.const 1))",
            "drop ".repeat(100),
            "drop ".repeat(100)
        ),
    );
}

fn of_two_functions(subject: &Subject) {
    overflows(
        subject,
        "(func $ping (param i32) (result i64) (i64.add (call $pong (i64.const 1)) (i64.const 1)))
         (func $pong (param i64) (result i64) (i64.add (call $ping (i32.const 1)) (local.get 0)))
         (func $run (param i32 i32) (result i32) (i32.wrap_i64 (call $ping (i32.const 0))))",
    );
}

fn through_a_table(subject: &Subject) {
    overflows(
        subject,
        "(type $run (func (param i32 i32) (result i32)))
         (table funcref (elem $run))
         (func $run (type $run)
           (i32.add (call_indirect (type $run) (local.get 1) (local.get 0) (i32.const 0)) (i32.const 1)))",
    );
}

fn through_the_entry_point(subject: &Subject) {
    // The guest calls its own entry point and never returns. `#` answers as in any guest.
    let host = subject.host(Guest::module(
        r#"(module
             (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
             (memory (export "memory") 1)
             (global $calls (mut i32) (i32.const 0))
             (func $call (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
               (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
               (if (i32.eq (local.get $op) (i32.const 1)) (then
                 (i32.store (i32.const 0) (global.get $calls))
                 (call $guest_response (i32.const 0) (i32.const 4))
                 (return (i32.const 1))))
               (i32.add (call $call (local.get $op) (local.get $msg)) (i32.const 1))))"#,
    ));
    host.fails("run", b"", Failure::STACK_OVERFLOW);
}

fn after_a_response_gives_none(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))
         (func $run (param i32 i32) (result i32)
           (call $guest_response (i32.const 0) (i32.const 4)) (call $deep))",
    ));
    let mut buffer = b"of the caller".to_vec();
    Failure::STACK_OVERFLOW.check(&host.call_into("run", b"", &mut buffer).unwrap_err());
    assert_eq!(buffer, b"");
    host.counted(1);
}

#[track_caller]
fn overflows_in(subject: &Subject, export: &str) {
    let error = subject.refuses(
        Guest::new(&format!(
            "(func $deep (export {export:?}) (call $deep) (global.set $n (i32.const 1)))
             (global $n (mut i32) (i32.const 0))
             (func $run (param i32 i32) (result i32) (i32.const 1))"
        )),
        Failure::INIT_FAILED,
    );
    says(&error, &[export]);
    assert_eq!(cause(&error).kind(), ErrorKind::StackOverflow, "{error:#?}");
}

fn in_initialize(subject: &Subject) {
    overflows_in(subject, "_initialize");
}

fn in_start(subject: &Subject) {
    overflows_in(subject, "_start");
}

fn in_wapc_init(subject: &Subject) {
    overflows_in(subject, "wapc_init");
}

fn in_a_rebuild(subject: &Subject) {
    // The handler tells the start to recurse: at the second start.
    let starts = AtomicU32::new(0);
    let guest = Guest::new(
        r#"(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))
           (func (export "wapc_init") (if (i32.eqz (call $ask (i32.const 0) (i32.const 0))) (then (drop (call $deep)))))
           (func $run (param i32 i32) (result i32) (call $deep))"#,
    );
    let host =
        subject.host(guest.host_calls_in_init().answers(
            move |_| match starts.fetch_add(1, Ordering::Relaxed) {
                1 => Err("deeper".into()),
                _ => Ok(Bytes::new()),
            },
        ));
    Failure::STACK_OVERFLOW.check(&host.call("run", b"").unwrap_err());
    let error = host.call("run", b"").unwrap_err();
    Failure::INIT_FAILED.check(&error);
    assert_eq!(cause(&error).kind(), ErrorKind::StackOverflow);
    host.counted(1);
}

fn fifty_overflows_in_a_row_are_survived(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $run (param i32 i32) (result i32) (i32.add (call $run (local.get 1) (local.get 0)) (i32.const 1)))",
    ));
    for _ in 0..50 {
        Failure::STACK_OVERFLOW.check(&host.call("run", b"").unwrap_err());
    }
    host.counted(1);
}

/// Returns a guest that runs `piece` at every depth, down to the end of its stack.
fn deeper(piece: &str) -> Guest {
    Guest::new(&format!(
        "(func $run (param $op i32) (param $msg i32) (result i32)
           {piece}
           (i32.add (call $run (local.get $op) (local.get $msg)) (i32.const 1)))"
    ))
    .limits(Limits::new().host_calls(u64::MAX).deadline(Duration::from_secs(4)).log(0))
}

fn every_import_at_every_depth_has_room(subject: &Subject) {
    // Decoding, formatting and logging all use the host's stack.
    let guest = deeper(
        "(call $guest_request (i32.const 0) (i32.const 512))
         (call $guest_response (i32.const 0) (i32.const 64))
         (call $guest_error (i32.const 65000) (i32.const 64))
         (call $console_log (i32.const 0) (i32.const 64))
         (drop (call $ask (i32.const 0) (i32.const 65536)))
         (call $host_error (i32.const 1024))
         (drop (i32.add (call $host_error_len) (call $host_response_len)))",
    );
    let limits = guest.module.limits.host_payload(100);
    let host = subject.host(guest.limits(limits).answers(|_| Ok(Bytes::new())));
    let error = host.fails("run", b"payload", Failure::STACK_OVERFLOW);
    assert_eq!(error.guest_error().map(str::len), Some(64));
}

/// Uses 128 KiB of stack.
#[inline(never)]
fn stacked() -> usize {
    let room = std::hint::black_box([7u8; 128 << 10]);
    room.iter().map(|byte| usize::from(*byte)).step_by(4096).sum()
}

fn a_handler_at_the_bottom_of_the_stack_has_room(subject: &Subject) {
    // 128 KiB of stack in the handler, at every hundredth depth, and so also where the guest's own
    // stack is nearly used up.
    let guest = deeper(
        "(local.set $msg (i32.add (local.get $msg) (i32.const 1)))
         (if (i32.eqz (i32.rem_u (local.get $msg) (i32.const 100)))
           (then (drop (call $ask (i32.const 0) (i32.const 0)))))",
    );
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let host = subject.host(guest.answers(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!(stacked(), 32 * 7);
        Ok(Bytes::new())
    }));
    host.fails("run", b"", Failure::STACK_OVERFLOW);
    assert!(calls.load(Ordering::Relaxed) > 10, "{calls:?} calls on the way down");
}

fn wild_pointers_at_the_bottom_of_the_stack_are_traps(subject: &Subject) {
    // Searches for a depth close to the end, wherever an engine has it: each call goes a little
    // less deep.
    let host = subject.host(Guest::new(
        "(func $down (param i32) (result i32)
           (if (i32.eqz (local.get 0)) (then (call $guest_error (i32.const -1) (i32.const 1))))
           (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (local.get 0)))
         (func $run (param $op i32) (param $msg i32) (result i32)
           (call $guest_request (i32.const 0) (i32.const 64))
           (call $down (i32.load (i32.const 64))))",
    ));
    let (mut fits, mut over) = (1_u32, 1 << 20);
    while over - fits > 1 {
        let depth = fits.midpoint(over);
        let error = host.call("run", &depth.to_le_bytes()).unwrap_err();
        match error.kind() {
            ErrorKind::Trapped => fits = depth,
            ErrorKind::StackOverflow => over = depth,
            _ => panic!("neither a trap nor an overflow at a depth of {depth}: {error:#?}"),
        }
    }
    assert!(fits > 100, "a stack of {fits} frames");
    // In the last frame that fits, the wild pointer is named as anywhere else.
    let error = host.call("run", &fits.to_le_bytes()).unwrap_err();
    Failure::TRAPPED.check(&error);
    says(&error, &["__guest_error", "0xffffffff"]);
}

fn a_million_tail_calls_are_no_recursion(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $down (param i32) (result i32)
           (if (i32.eqz (local.get 0)) (then (return (call $answer_i32 (i32.const 9)))))
           (return_call $up (i32.sub (local.get 0) (i32.const 1))))
         (func $up (param i32) (result i32) (return_call $down (local.get 0)))
         (func $run (param i32 i32) (result i32) (return_call $down (i32.const 1000000)))",
    ));
    assert_eq!(host.number("run", b""), 9);
    host.counted(2);
}

/// The results of calls from inside handlers.
type Ended = Arc<Mutex<Vec<Result<Vec<u8>, Error>>>>;

/// Starts a host whose handler calls `next`, which is set later, and passes on its answer, or that
/// it was refused.
fn relay(subject: &Subject, body: &str, next: Arc<OnceLock<Host>>, ended: &Ended) -> Host {
    let ended = Arc::clone(ended);
    subject.host(Guest::new(body).handler(move |_| {
        let (next, ended) = (next.get().expect("the next host is known").clone(), Arc::clone(&ended));
        Answer::Later(Box::pin(async move {
            let result = next.call_later(Request::new("run", b"again")).await.map(|answer| answer.payload);
            let said = match &result {
                Ok(answer) => answer.clone(),
                Err(error) => error.code().as_bytes().to_vec(),
            };
            ended.lock().unwrap().push(result);
            Ok(said.into())
        }))
    }))
}

/// Calls the host once and answers what it said.
const ONCE: &str =
    "(func $run (param i32 i32) (result i32) (call $relay (call $ask (i32.const 0) (i32.const 1))))";

fn known(host: &Host) -> Arc<OnceLock<Host>> {
    let cell = Arc::new(OnceLock::new());
    assert!(cell.set(host.clone()).is_ok());
    cell
}

fn of_a_handler_into_its_host_is_refused_a_hundred_times(subject: &Subject) {
    let (ended, own) = (Ended::default(), Arc::new(OnceLock::new()));
    let body = "(func $run (param $op i32) (param $n i32) (result i32)
       (local.set $n (i32.const 100))
       (loop $again
         (if (i32.eqz (call $ask (i32.const 0) (i32.const 1))) (then unreachable))
         (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
       (call $host_response (i32.const 0))
       (call $answer (i32.const 0) (call $host_response_len)))";
    let host = relay(subject, body, Arc::clone(&own), &ended);
    assert!(own.set(host.clone()).is_ok());
    assert_eq!(host.answer("run", b""), b"reentrancy");
    let inner = std::mem::take(&mut *ended.lock().unwrap());
    assert_eq!(inner.len(), 100);
    for result in inner {
        Failure::REENTRANCY.check(&result.unwrap_err());
    }
    // Kept, and never entered from inside.
    host.counted(2);
}

fn around_a_ring_of_three_hosts_is_refused(subject: &Subject) {
    let (ended, first) = (Ended::default(), Arc::new(OnceLock::new()));
    let third = relay(subject, ONCE, Arc::clone(&first), &ended);
    let second = relay(subject, ONCE, known(&third), &ended);
    let host = relay(subject, ONCE, known(&second), &ended);
    assert!(first.set(host.clone()).is_ok());
    assert_eq!(host.answer("run", b""), b"reentrancy", "passed on by all three guests");
    let inner = std::mem::take(&mut *ended.lock().unwrap());
    assert_eq!(inner.len(), 3);
    let mut refused = inner.into_iter().filter_map(Result::err);
    Failure::REENTRANCY.check(&refused.next().unwrap());
    assert!(refused.next().is_none(), "only the third call is refused");
    assert_eq!([host.count(), second.count(), third.count()], [2; 3]);
}

fn through_a_chain_of_hosts_ends_with_the_innermost(subject: &Subject) {
    // Eight guests wait for one another, each in a handler of the one before. The last one traps.
    let ended = Ended::default();
    let mut host = subject.host(Guest::new("(func $run (param i32 i32) (result i32) unreachable)"));
    let innermost = host.clone();
    innermost.counted(1);
    for _ in 0..8 {
        host = relay(subject, ONCE, known(&host), &ended);
    }
    assert_eq!(host.answer("run", b""), b"trapped");
    // The innermost instance is fresh.
    innermost.counted(1);
    // All other instances were kept.
    host.counted(2);
    let inner = std::mem::take(&mut *ended.lock().unwrap());
    assert_eq!(inner.iter().filter(|result| result.is_err()).count(), 1);
    assert_eq!(inner.len(), 8);
}

fn into_a_host_that_traps_leaves_the_outer_one_alone(subject: &Subject) {
    let ended = Ended::default();
    for (body, code) in [
        ("(call $guest_response (i32.const -1) (i32.const 1)) (i32.const 1)", "trapped"),
        ("(i32.add (call $run (i32.const 0) (i32.const 0)) (i32.const 1))", "stack_overflow"),
        ("(i32.const 0)", "guest_failed"),
        ("(i32.const 1)", "guest_misbehaved"),
        ("(loop (drop (call $ask (i32.const 0) (i32.const 0))) (br 0)) unreachable", "host_call_limit"),
    ] {
        let inner = subject.host(Guest::new(&format!("(func $run (param i32 i32) (result i32) {body})")));
        let host = relay(subject, ONCE, known(&inner), &ended);
        for round in 1..=2 {
            assert_eq!(host.answer("run", b""), code.as_bytes());
            host.counted(2 * round);
        }
    }
}

fn with_the_bottom_of_one_guest_calling_another(subject: &Subject) {
    // The outer guest calls at every two hundredth depth; each time the inner guest uses up its own
    // stack.
    let inner = subject.host(Guest::new(
        "(func $run (param i32 i32) (result i32) (i32.add (call $run (local.get 1) (local.get 0)) (i32.const 1)))",
    ));
    let (ended, guest) = (
        Ended::default(),
        "(func $run (param $op i32) (param $msg i32) (result i32)
           (local.set $msg (i32.add (local.get $msg) (i32.const 1)))
           (if (i32.eqz (i32.rem_u (local.get $msg) (i32.const 200)))
             (then (drop (call $ask (i32.const 0) (i32.const 0)))))
           (i32.add (call $run (local.get $op) (local.get $msg)) (i32.const 1)))",
    );
    let host = relay(subject, guest, known(&inner), &ended);
    host.fails("run", b"", Failure::STACK_OVERFLOW);
    let inner_calls = std::mem::take(&mut *ended.lock().unwrap());
    assert!(inner_calls.len() > 5, "{} calls on the way down", inner_calls.len());
    for result in inner_calls {
        Failure::STACK_OVERFLOW.check(&result.unwrap_err());
    }
    inner.counted(1);
}
