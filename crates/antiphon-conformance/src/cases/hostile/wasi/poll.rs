//! Waits: too long, too many, at times that never come, and over their own results.

use std::time::Duration;

use antiphon::errors::Phase;
use antiphon::{CancelHandle, Limits, Request};

use crate::suite::{Case, Guest, Host, Need, Subject, case};
use crate::support::{Failure, cause, soon, timed, took};

const NEEDS: &[Need] = &[Need::Wasi];
const TIMED: &[Need] = &[Need::Wasi, Need::Deadline];

pub(super) const CASES: &[Case] = &[
    case!(hostile_wasi_poll::sleeps_of_hours_and_centuries_end_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_poll::a_time_that_never_comes_ends_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_poll::a_time_that_is_past_is_over_at_once).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::sleeps_of_nothing_without_end_end_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_poll::short_sleeps_without_end_end_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_poll::a_sleep_in_every_init_export_ends_at_the_deadline_of_the_start)
        .needs(TIMED)
        .hostile(),
    case!(hostile_wasi_poll::numbers_of_subscriptions_beyond_reason_are_an_error_number)
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_poll::a_thousand_subscriptions_are_served).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::subscriptions_over_the_end_of_memory_are_traps).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::events_over_the_subscriptions_harm_only_the_guest).needs(TIMED).hostile(),
    case!(hostile_wasi_poll::clocks_that_do_not_exist_are_an_event_with_an_error).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::clocks_that_do_not_exist_tell_no_time).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::streams_that_do_not_exist_are_an_event_with_an_error).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::kinds_that_do_not_exist_are_an_error_number).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::a_sleep_next_to_a_ready_stream_does_not_wait).needs(NEEDS).hostile(),
    case!(hostile_wasi_poll::a_sleep_that_is_cancelled_at_once_leaves_no_trace).needs(NEEDS).hostile(),
];

const DEADLINE: Duration = Duration::from_millis(100);

const INVAL: i32 = 28;
const BADF: u8 = 8;

/// Polls subscriptions of 48 bytes each, which the payload lays out from 0 on. Their number is the
/// length of the operation less one, or `COUNT`. Events go to 16384, their number to 60000.
const POLLER: &str = r#"
    (func $poll (import "wasi_snapshot_preview1" "poll_oneoff") (param i32 i32 i32 i32) (result i32))
    (func $run (param $op i32) (param i32) (result i32)
      (local $errno i32)
      (call $guest_request (i32.const 61000) (i32.const 0))
      (local.set $errno (call $poll (i32.const 0) (i32.const 16384) COUNT (i32.const 60000)))
      (if (local.get $errno) (then (return (call $answer_i32 (local.get $errno)))))
      (call $answer (i32.const 16384) (i32.mul (i32.load (i32.const 60000)) (i32.const 32))))"#;

fn poller(count: &str) -> Guest {
    Guest::new(&POLLER.replace("COUNT", count)).limits(Limits::new().deadline(DEADLINE))
}

/// Polls the payload's subscriptions, one for every 48 bytes, and returns the events.
fn poll(host: &Host, subscriptions: &[Vec<u8>]) -> Vec<Event> {
    let answer = host.answer("poll", &subscriptions.concat());
    assert_eq!(answer.len() % 32, 0, "an error number: {answer:?}");
    answer.chunks(32).map(|event| Event { userdata: event[0], errno: event[8], kind: event[10] }).collect()
}

/// The fields of an event that the cases check.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    userdata: u8,
    errno: u8,
    kind: u8,
}

/// One subscription for every 48 bytes of the payload, whose length is the second parameter.
const ALL: &str = "(i32.div_u (local.get 1) (i32.const 48))";

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const RELATIVE: u16 = 0;
const ABSOLUTE: u16 = 1;

fn clock(userdata: u8, clock: u32, timeout: u64, flags: u16) -> Vec<u8> {
    let mut subscription = vec![0; 48];
    subscription[0] = userdata;
    subscription[16..20].copy_from_slice(&clock.to_le_bytes());
    subscription[24..32].copy_from_slice(&timeout.to_le_bytes());
    subscription[40..42].copy_from_slice(&flags.to_le_bytes());
    subscription
}

/// Returns a subscription to a readable (1) or writable (2) descriptor.
fn stream(userdata: u8, kind: u8, fd: u32) -> Vec<u8> {
    let mut subscription = vec![0; 48];
    subscription[0] = userdata;
    subscription[8] = kind;
    subscription[16..20].copy_from_slice(&fd.to_le_bytes());
    subscription
}

/// Expects the call to end by its deadline, during the wait.
#[track_caller]
fn waits_in_vain(host: &Host, payload: &[u8]) {
    let (error, elapsed) = timed(|| host.call("poll", payload).unwrap_err());
    assert!(error.is_deadline(), "{error:#?}");
    // An engine may count a wait as the guest's time or as the host's.
    match error.phase() {
        Some(Phase::Guest) => Failure::DEADLINE_IN_GUEST.check(&error),
        _ => Failure::DEADLINE_IN_HOST.check(&error),
    }
    took(elapsed, DEADLINE);
    // The instance was discarded.
    host.counted(1);
}

fn sleeps_of_hours_and_centuries_end_at_the_deadline(subject: &Subject) {
    let host = subject.host(poller(ALL));
    let hour = 3_600_000_000_000;
    for (id, timeout) in
        [(MONOTONIC, hour), (REALTIME, u64::MAX), (MONOTONIC, u64::MAX), (MONOTONIC, 1 << 63)]
    {
        waits_in_vain(&host, &clock(1, id, timeout, RELATIVE));
    }
}

fn a_time_that_never_comes_ends_at_the_deadline(subject: &Subject) {
    let host = subject.host(poller(ALL));
    for (id, time) in [(REALTIME, u64::MAX), (MONOTONIC, u64::MAX), (REALTIME, 1 << 63)] {
        waits_in_vain(&host, &clock(1, id, time, ABSOLUTE));
    }
}

fn a_time_that_is_past_is_over_at_once(subject: &Subject) {
    let host = subject.host(poller(ALL));
    for (id, time) in [(REALTIME, 0), (MONOTONIC, 0), (REALTIME, 1_000_000_000), (MONOTONIC, 1)] {
        let (events, elapsed) = timed(|| poll(&host, &[clock(7, id, time, ABSOLUTE)]));
        assert_eq!(events, [Event { userdata: 7, errno: 0, kind: 0 }]);
        soon(elapsed, Duration::ZERO);
    }
    // Flags that mean neither a relative nor an absolute time.
    for flags in [2, 3, u16::MAX] {
        let events = poll(&host, &[clock(7, REALTIME, 0, flags)]);
        assert_eq!(events, [Event { userdata: 7, errno: INVAL as u8, kind: 0 }]);
    }
}

/// Returns a guest that sleeps again and again.
fn restless(nanoseconds: u64) -> Guest {
    Guest::new(&format!(
        r#"(func $poll (import "wasi_snapshot_preview1" "poll_oneoff") (param i32 i32 i32 i32) (result i32))
           (func $run (param i32 i32) (result i32)
             (i32.store (i32.const 16) (i32.const 1))
             (i64.store (i32.const 24) (i64.const {nanoseconds}))
             (loop $again
               (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 120)) (then unreachable))
               (br $again))
             (i32.const 1))"#
    ))
    .limits(Limits::new().deadline(DEADLINE))
}

fn sleeps_of_nothing_without_end_end_at_the_deadline(subject: &Subject) {
    waits_in_vain(&subject.host(restless(0)), b"");
}

fn short_sleeps_without_end_end_at_the_deadline(subject: &Subject) {
    for nanoseconds in [1, 1000, 3_000_000] {
        waits_in_vain(&subject.host(restless(nanoseconds)), b"");
    }
}

fn a_sleep_in_every_init_export_ends_at_the_deadline_of_the_start(subject: &Subject) {
    // 60 ms each, with one deadline for all of them.
    let guest = Guest::new(
        r#"(func $poll (import "wasi_snapshot_preview1" "poll_oneoff") (param i32 i32 i32 i32) (result i32))
           (func $nap
             (i32.store (i32.const 16) (i32.const 1))
             (i64.store (i32.const 24) (i64.const 60000000))
             (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 120)) (then unreachable)))
           (func (export "_initialize") (call $nap))
           (func (export "_start") (call $nap))
           (func (export "wapc_init") (call $nap) (call $nap))
           (func $run (param i32 i32) (result i32) (i32.const 1))"#,
    );
    let (error, elapsed) =
        timed(|| subject.refuses(guest.limits(Limits::new().init_deadline(DEADLINE)), Failure::INIT_FAILED));
    assert!(error.is_deadline() && cause(&error).is_deadline(), "{error:#?}");
    took(elapsed, DEADLINE);
}

fn numbers_of_subscriptions_beyond_reason_are_an_error_number(subject: &Subject) {
    for count in [0, 1025, 0x10000, 0x0555_5556, 0x7fff_ffff, i32::MIN, -1] {
        let host = subject.host(poller(&format!("(i32.const {count})")));
        assert_eq!(host.number("poll", &clock(1, MONOTONIC, 0, RELATIVE)), INVAL, "{count}");
        host.counted(2);
    }
}

fn a_thousand_subscriptions_are_served(subject: &Subject) {
    // Subscriptions from 0 up to 49152, all alike and due; the events follow at 65536.
    let body = POLLER.replace("COUNT", "(i32.const 1024)").replace("16384", "65536").replace(
        "(call $guest_request (i32.const 61000) (i32.const 0))",
        "(call $guest_request (i32.const 61000) (i32.const 0)) (i32.store (i32.const 16) (i32.const 1))",
    );
    let host = subject.host(Guest::with_memory(r#"(memory (export "memory") 3)"#, &body));
    assert_eq!(host.answer("poll", b"").len(), 1024 * 32);
}

fn subscriptions_over_the_end_of_memory_are_traps(subject: &Subject) {
    // 48 bytes a subscription, 32 an event: it does not matter which of the two leaves memory.
    let host = subject.host(Guest::new(
        r#"(func $poll (import "wasi_snapshot_preview1" "poll_oneoff") (param i32 i32 i32 i32) (result i32))
           (func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 61000) (i32.const 60000))
             (call $answer_i32 (call $poll
               (i32.load (i32.const 60000)) (i32.load (i32.const 60004))
               (i32.load (i32.const 60008)) (i32.load (i32.const 60012)))))"#,
    ));
    for wild in [
        [65_489, 0, 1, 1024],
        [0, 65_505, 1, 1024],
        [0, 1024, 1, 65_533],
        [0, 40_000, 1024, 1024],
        [20_000, 0, 1024, 1024],
        [-1, 0, 1, 1024],
        [0, -1, 1, 1024],
        [0, 1024, 1, -1],
        [-48, 0, 1, 1024],
    ] {
        host.fails("poll", &wild.map(i32::to_le_bytes).concat(), Failure::TRAPPED);
    }
    assert_eq!(host.number("poll", &[0, 1024, 1, 65_532].map(i32::to_le_bytes).concat()), 0);
}

fn events_over_the_subscriptions_harm_only_the_guest(subject: &Subject) {
    // Events overwrite the subscriptions that are still to be read. Whatever results from that, it
    // ends soon.
    for at in [0, 1, 8, 16, 24, 32, 48, 80] {
        let body = POLLER.replace("COUNT", ALL).replace("16384", &at.to_string());
        let host = subject.host(Guest::new(&body).limits(Limits::new().deadline(DEADLINE)));
        let many: Vec<u8> =
            (0..8).flat_map(|i| clock(i, MONOTONIC, u64::from(i) * 1_000, RELATIVE)).collect();
        let (outcome, elapsed) = timed(|| host.call("poll", &many));
        soon(elapsed, DEADLINE);
        match outcome {
            Ok(answer) => assert!(answer.len() <= 8 * 32, "{} bytes of events", answer.len()),
            Err(error) => assert!(error.is_deadline(), "{error:#?}"),
        }
        assert!(host.count() <= 2);
    }
}

fn clocks_that_do_not_exist_are_an_event_with_an_error(subject: &Subject) {
    let host = subject.host(poller(ALL));
    for id in [2, 3, 4, 255, 0x7fff_ffff, u32::MAX] {
        let events =
            poll(&host, &[clock(1, id, u64::MAX, RELATIVE), clock(2, MONOTONIC, u64::MAX, RELATIVE)]);
        assert_eq!(events, [Event { userdata: 1, errno: INVAL as u8, kind: 0 }], "clock {id}");
    }
}

fn clocks_that_do_not_exist_tell_no_time(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $res (import "wasi_snapshot_preview1" "clock_res_get") (param i32 i32) (result i32))
           (func $time (import "wasi_snapshot_preview1" "clock_time_get") (param i32 i64 i32) (result i32))
           (func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 61000) (i32.const 0))
             (i64.store (i32.const 8) (i64.const -1))
             (i64.store (i32.const 16) (i64.const -1))
             (i32.store (i32.const 24) (call $res (i32.load (i32.const 0)) (i32.const 8)))
             (i32.store (i32.const 28) (call $time (i32.load (i32.const 0)) (i64.const -1) (i32.const 16)))
             (call $answer (i32.const 8) (i32.const 24)))"#,
    ));
    for clock in [2, 3, 4, 1000, i32::MAX, i32::MIN, -1] {
        let answer = host.answer("time", &clock.to_le_bytes());
        assert_eq!(answer[..16], [0xff; 16], "clock {clock} wrote something");
        assert_eq!(answer[16..], [28, 0, 0, 0, 28, 0, 0, 0]);
    }
}

fn streams_that_do_not_exist_are_an_event_with_an_error(subject: &Subject) {
    let host = subject.host(poller(ALL));
    for (kind, fd) in [(1, 1), (1, 2), (2, 0), (1, 3), (2, 3), (1, u32::MAX), (2, 0x8000_0000)] {
        let events = poll(&host, &[stream(3, kind, fd), clock(4, REALTIME, u64::MAX, ABSOLUTE)]);
        assert_eq!(events, [Event { userdata: 3, errno: BADF, kind }], "kind {kind}, descriptor {fd}");
    }
}

fn kinds_that_do_not_exist_are_an_error_number(subject: &Subject) {
    let host = subject.host(poller(ALL));
    for kind in [3, 4, 0x7f, 0xff] {
        // Alone, and behind one that is ready: the whole call fails and writes no event.
        assert_eq!(host.number("poll", &stream(1, kind, 0)), INVAL);
        assert_eq!(host.number("poll", &[stream(1, 1, 0), stream(2, kind, 0)].concat()), INVAL);
    }
}

fn a_sleep_next_to_a_ready_stream_does_not_wait(subject: &Subject) {
    let host = subject.host(poller(ALL));
    let never = |userdata| clock(userdata, MONOTONIC, u64::MAX, RELATIVE);
    let (events, elapsed) = timed(|| poll(&host, &[never(1), stream(2, 2, 1), never(3), stream(4, 1, 0)]));
    let ready = |userdata, kind| Event { userdata, errno: 0, kind };
    assert_eq!(events, [ready(2, 2), ready(4, 1)]);
    soon(elapsed, Duration::ZERO);
}

fn a_sleep_that_is_cancelled_at_once_leaves_no_trace(subject: &Subject) {
    let host = subject.host(poller(ALL));
    let payload = clock(1, MONOTONIC, u64::MAX, RELATIVE);
    for _ in 0..10 {
        let cancel = CancelHandle::new();
        cancel.cancel();
        let request = Request::new("poll", &payload).cancel(cancel);
        host.fails_with(request, Failure::CANCELLED_BEFORE);
    }
    assert_eq!(poll(&host, &[clock(1, MONOTONIC, 0, RELATIVE)]).len(), 1);
}
