//! An error names the limit that ended the call, in numbers, and where the guest was. The usage of
//! a call is exact.

use std::time::Duration;

use antiphon::errors::Error;
use antiphon::{Bytes, Limits, Request};

use super::fuel::{WORK, work};
use crate::cases::{ECHO, SPIN};
use crate::suite::{Case, Guest, Host, Need, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(exceeded::the_deadline_of_a_call).needs(&[Need::Deadline]),
    case!(exceeded::the_deadline_of_a_start).needs(&[Need::Deadline]),
    case!(exceeded::the_deadline_of_a_request_in_a_host_call).needs(&[Need::Deadline, Need::Suspend]),
    case!(exceeded::the_fuel_of_a_call_and_of_a_start).needs(&[Need::Fuel]),
    case!(exceeded::memory_and_tables).needs(&[Need::MemoryLimit]),
    case!(exceeded::host_calls_by_number_and_by_bytes),
    case!(exceeded::sizes),
    case!(exceeded::what_is_no_limit_names_none),
    case!(exceeded::whatever_ends_a_call_says_where_the_guest_was).needs(&[
        Need::Backtrace,
        Need::Deadline,
        Need::MemoryLimit,
        Need::StackLimit,
    ]),
    case!(exceeded::a_request_limits_its_fuel).needs(&[Need::Fuel]),
    case!(exceeded::a_request_can_not_raise_the_limit_of_fuel).needs(&[Need::Fuel]),
    case!(exceeded::a_request_that_limits_fuel_nobody_counts_is_refused),
    case!(exceeded::usage_counts_ticks_and_dropped_lines).needs(&[Need::Deadline]),
];

/// Compares the limit that an error names: its name, its allowed value and its unit. Returns the
/// value that was used.
#[track_caller]
fn names(error: &Error, limit: &str, allowed: u64, unit: &str) -> u64 {
    let Some(exceeded) = error.exceeded() else { panic!("no limit in {error:#?}") };
    assert_eq!((exceeded.limit, exceeded.allowed, exceeded.unit), (limit, allowed, unit), "{error:#?}");
    exceeded.used
}

fn the_deadline_of_a_call(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN).limits(Limits::new().deadline(Duration::from_millis(60))));
    let error = host.fails("run", b"", Failure::DEADLINE_IN_GUEST);
    let used = names(&error, "deadline", 60_000, "us");
    assert!((60_000..10_000_000).contains(&used), "{used} us");
    // The numbers are also in the source's text, which programs print.
    says(std::error::Error::source(&error).expect("a source"), &["60ms", "phase guest", "after"]);

    let request = Request::new("run", b"").deadline(Duration::from_millis(25));
    let used = names(&host.fails_with(request, Failure::DEADLINE_IN_GUEST), "deadline", 25_000, "us");
    assert!((25_000..10_000_000).contains(&used), "{used} us");
}

fn the_deadline_of_a_start(subject: &Subject) {
    let body = format!("{ECHO} (func (export \"wapc_init\") (call $spin))");
    let limits = Limits::new().init_deadline(Duration::from_millis(40));
    let error = subject.refuses(Guest::new(&body).limits(limits), Failure::INIT_FAILED);
    let used = names(&error, "init_deadline", 40_000, "us");
    assert!((40_000..10_000_000).contains(&used), "{used} us");
}

/// Asks the host and passes on its answer.
const ASK: &str =
    "(func $run (param i32 i32) (result i32) (call $relay (call $ask (i32.const 0) (i32.const 9))))";

fn the_deadline_of_a_request_in_a_host_call(subject: &Subject) {
    let host = subject.host(Guest::new(ASK).answers(|_| {
        std::thread::sleep(Duration::from_millis(60));
        Ok(Bytes::new())
    }));
    let request = Request::new("run", b"").deadline(Duration::from_millis(20));
    let error = host.fails_with(request, Failure::DEADLINE_IN_HOST);
    let used = names(&error, "deadline", 20_000, "us");
    assert!((20_000..10_000_000).contains(&used), "{used} us");
}

fn the_fuel_of_a_call_and_of_a_start(subject: &Subject) {
    let limits = Limits::new().fuel(30_000);
    let host = subject.host(Guest::new(SPIN).limits(limits));
    let error = host.fails("run", b"", Failure::OUT_OF_FUEL);
    assert_eq!(names(&error, "fuel", 30_000, "units"), 30_000);

    let body = format!("{ECHO} (func (export \"wapc_init\") (call $spin))");
    let error = subject.refuses(Guest::new(&body).limits(limits), Failure::INIT_FAILED);
    assert_eq!(names(&error, "fuel", 30_000, "units"), 30_000);
}

fn memory_and_tables(subject: &Subject) {
    let body = r#"
      (table $table 5 funcref)
      (func $run (param $op i32) (param $msg i32) (result i32)
        (drop (if (result i32) (local.get $msg)
          (then (memory.grow (i32.const 4)))
          (else (table.grow $table (ref.null func) (i32.const 8)))))
        unreachable)
    "#;
    let limits = Limits::new().memory(3 << 16).table_elements(10);
    let host = subject.host(Guest::new(body).limits(limits));
    let error = host.fails("run", b"x", Failure::MEMORY_LIMIT);
    assert_eq!(names(&error, "memory", 3 << 16, "bytes"), 5 << 16, "what it asked for");
    let error = host.fails("run", b"", Failure::MEMORY_LIMIT);
    assert_eq!(names(&error, "table_elements", 10, "elements"), 13);
}

/// Sends the host ten bytes, as many times as the payload has bytes.
const ASKS: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $msg)))
        (drop (call $ask (i32.const 0) (i32.const 10)))
        (local.set $msg (i32.sub (local.get $msg) (i32.const 1)))
        (br $again)))
    (call $answer (i32.const 0) (i32.const 0)))
"#;

fn host_calls_by_number_and_by_bytes(subject: &Subject) {
    let few = Limits::new().host_calls(3);
    let host = subject.host(Guest::new(ASKS).limits(few).answers(|_| Ok(Bytes::new())));
    host.answer("run", &[0; 3]);
    let error = host.fails("run", &[0; 9], Failure::HOST_CALL_LIMIT);
    assert_eq!(names(&error, "host_calls", 3, "calls"), 4);

    let short = Limits::new().host_call_bytes(25);
    let host = subject.host(Guest::new(ASKS).limits(short).answers(|_| Ok(Bytes::from_static(b"ok"))));
    host.answer("run", &[0; 2]);
    let error = host.fails("run", &[0; 9], Failure::HOST_CALL_LIMIT);
    assert_eq!(names(&error, "host_call_bytes", 25, "bytes"), 34, "two with their answers, and one more");
}

fn sizes(subject: &Subject) {
    let limits = Limits::new().request(8).response(5).name(4);
    let host = subject.host(Guest::new(ECHO).limits(limits));
    let error = host.fails("echo", &[0; 9], Failure::REQUEST_TOO_LARGE);
    assert_eq!(names(&error, "request", 8, "bytes"), 9);
    let error = host.fails("echo", &[0; 6], Failure::RESPONSE_TOO_LARGE);
    assert_eq!(names(&error, "response", 5, "bytes"), 6);
    let error = host.fails("echoes", b"", Failure::REQUEST_TOO_LARGE);
    assert_eq!(names(&error, "name", 4, "bytes"), 6);
}

fn what_is_no_limit_names_none(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $run (param $op i32) (param i32) (result i32)
           (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable))
           (call $fail (i32.const 0) (i32.const 1)))",
    ));
    assert_eq!(host.fails("trap", b"", Failure::TRAPPED).exceeded(), None);
    assert_eq!(host.fails("fail!", b"", Failure::GUEST_FAILED).exceeded(), None);
}

fn whatever_ends_a_call_says_where_the_guest_was(subject: &Subject) {
    // Each function is named after what ends it, and is the deepest one then.
    let body = r#"
      (func $too_late (call $spin))
      (func $out_of_memory (drop (memory.grow (i32.const 1000))) unreachable)
      (func $one_too_many (drop (call $ask (i32.const 0) (i32.const 0))) (call $one_too_many_again))
      (func $one_too_many_again (drop (call $ask (i32.const 0) (i32.const 0))))
      (func $too_long (drop (call $answer (i32.const 0) (i32.const 6))))
      (func $too_deep (call $too_deep) (call $too_deep))
      (func $out_of_bounds (drop (i32.load (i32.const -1))))
      (func $run (param $op i32) (param $msg i32) (result i32)
        (if (i32.eq (local.get $msg) (i32.const 0)) (then (call $too_late)))
        (if (i32.eq (local.get $msg) (i32.const 1)) (then (call $out_of_memory)))
        (if (i32.eq (local.get $msg) (i32.const 2)) (then (call $one_too_many)))
        (if (i32.eq (local.get $msg) (i32.const 3)) (then (call $too_long)))
        (if (i32.eq (local.get $msg) (i32.const 4)) (then (call $too_deep)))
        (if (i32.eq (local.get $msg) (i32.const 5)) (then (call $out_of_bounds)))
        (i32.const 1))
    "#;
    let limits =
        Limits::new().memory(10 << 16).host_calls(1).response(5).deadline(Duration::from_millis(200));
    let host = subject.host(Guest::new(body).limits(limits).answers(|_| Ok(Bytes::new())));
    let ends = [
        (Failure::DEADLINE_IN_GUEST, "spin", "too_late"),
        (Failure::MEMORY_LIMIT, "out_of_memory", "run"),
        (Failure::HOST_CALL_LIMIT, "ask", "one_too_many_again"),
        (Failure::RESPONSE_TOO_LARGE, "answer", "too_long"),
        (Failure::STACK_OVERFLOW, "too_deep", "too_deep"),
        (Failure::TRAPPED, "out_of_bounds", "run"),
    ];
    for (payload, (failure, innermost, next)) in ends.into_iter().enumerate() {
        let error = host.fails("go", &vec![0; payload], failure);
        let Some(frames) = error.backtrace() else { panic!("no backtrace in {error:#?}") };
        let mut lines = frames.lines();
        says(lines.next().unwrap_or_default(), &["0: ", innermost]);
        says(lines.next().unwrap_or_default(), &["1: ", next]);
    }
}

/// Returns the usage of fuel of a request, and the fuel that it left.
#[track_caller]
fn fuel_of(host: &Host, request: Request<'_>) -> (u64, Option<u64>) {
    let usage = host.call_with(request.usage(true)).unwrap().usage.expect("the usage that was asked for");
    (usage.fuel.expect("an engine that counts fuel"), usage.fuel_left)
}

fn a_request_limits_its_fuel(subject: &Subject) {
    // The engine counts fuel here, but the request has no limit of its own.
    let host = subject.host(Guest::new(WORK).limits(Limits::new().fuel(u64::MAX)));
    let payload = work(1_000);
    let request = || Request::new("run", &payload);
    let (burnt, left) = fuel_of(&host, request());
    assert_eq!(left, None, "there was no limit");
    assert_eq!(fuel_of(&host, request().fuel(burnt)), (burnt, Some(0)));
    assert_eq!(fuel_of(&host, request().fuel(burnt + 7)), (burnt, Some(7)));

    // Engines check fuel in loops and at calls, so half of what was burnt is certainly too little.
    let half = burnt / 2;
    let error = host.fails_with(request().fuel(half).usage(true), Failure::OUT_OF_FUEL);
    assert_eq!(names(&error, "fuel", half, "units"), half);
    let usage = error.usage().expect("the usage that was asked for");
    assert!(usage.fuel.is_some_and(|fuel| fuel <= half), "{usage:?}");
    // The limit applied to that call only.
    assert_eq!(fuel_of(&host, request()), (burnt, None));
}

fn a_request_can_not_raise_the_limit_of_fuel(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN).limits(Limits::new().fuel(20_000)));
    for (asked, allowed) in [(1_000_000, 20_000), (20_000, 20_000), (5_000, 5_000)] {
        let error = host.fails_with(Request::new("run", b"").fuel(asked), Failure::OUT_OF_FUEL);
        assert_eq!(names(&error, "fuel", allowed, "units"), allowed);
    }
}

fn a_request_that_limits_fuel_nobody_counts_is_refused(subject: &Subject) {
    let guest = Guest::new(ECHO);
    let factory = subject.factory(&guest).unwrap();
    let host = subject.start_on(&*factory, guest).unwrap();
    let request = Request::new("echo", b"x").fuel(1 << 40);
    if factory.capabilities().fuel {
        assert_eq!(host.call_with(request).unwrap().payload, b"x");
    } else {
        let refused = Failure { fate: antiphon::errors::Fate::Kept, entered: false, ..Failure::UNSUPPORTED };
        says(host.fails_with(request, refused), &["fuel"]);
    }
}

fn usage_counts_ticks_and_dropped_lines(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN).limits(Limits::new().deadline(Duration::from_millis(100))));
    let error = host.fails_with(Request::new("run", b"").usage(true), Failure::DEADLINE_IN_GUEST);
    let ticks = error.usage().expect("the usage that was asked for").ticks;
    // A hundred milliseconds are twenty ticks. A late ticker skips some and counts them with the
    // next one.
    assert!((19..2_000).contains(&ticks), "{ticks} ticks");

    let body = r#"
      (func $run (param $op i32) (param $msg i32) (result i32)
        (call $console_log (i32.const 0) (i32.const 20))
        (call $console_log (i32.const 0) (i32.const 20))
        (call $console_log (i32.const 0) (i32.const 20))
        (call $answer (i32.const 0) (i32.const 0)))
    "#;
    let host = subject.host(Guest::new(body).limits(Limits::new().log(45)));
    let usage = host.call_with(Request::new("run", b"").usage(true)).unwrap().usage.unwrap();
    assert_eq!((usage.log_dropped, usage.host_calls), (1, 0), "{usage:?}");
}
