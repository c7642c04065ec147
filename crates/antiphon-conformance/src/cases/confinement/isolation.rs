//! Isolation: an instance of its own for each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Isolation, Limits, Request};

use crate::suite::{Case, Guest, Host, Log, Need, Subject, case};
use crate::support::{Answer, Failure, deadline_in, wat};

pub(super) const CASES: &[Case] = &[
    case!(isolation::each_call_has_an_instance_of_its_own_whoever_asked_for_it),
    case!(isolation::a_shared_instance_is_the_default).keeps_state(),
    // These grow memories and tables, which the limits bound.
    case!(isolation::no_call_sees_memory_globals_or_tables_of_another).needs(&[Need::MemoryLimit]),
    case!(isolation::a_call_that_traps_leaves_nothing_to_the_next).needs(&[Need::MemoryLimit]),
    case!(isolation::init_exports_run_for_each_instance),
    case!(isolation::a_start_counts_as_time_before_the_guest),
    case!(isolation::a_start_ends_by_the_deadline_of_its_call).needs(&[Need::Deadline]),
    case!(isolation::a_request_that_is_refused_disturbs_nothing),
    case!(isolation::a_replacement_serves_each_call_with_an_instance_of_its_own).needs(&[Need::MemoryLimit]),
    case!(isolation::limits_hold_for_each_instance).needs(&[Need::MemoryLimit]),
];

/// Answers nothing, but counts its calls.
const COUNTED: &str = "(func $run (param i32 i32) (result i32) (i32.const 1))";

fn isolated(guest: Guest) -> Guest {
    guest.isolation(Isolation::PerCall)
}

fn each_call_has_an_instance_of_its_own_whoever_asked_for_it(subject: &Subject) {
    let guest = || Guest::new(COUNTED);
    let by_host = || guest().host_isolation(Isolation::PerCall);
    for guest in [isolated(guest()), by_host()] {
        let host = subject.host(guest);
        assert_eq!(host.isolation(), Isolation::PerCall);
        assert_eq!([(); 4].map(|()| host.count()), [1; 4]);
    }
    // Only the provider gets the setting here, and it may lack the option.
    let host = subject.host(isolated(guest()).host_isolation(Isolation::Reuse));
    let counts = if host.isolation() == Isolation::PerCall { [1; 4] } else { [1, 2, 3, 4] };
    assert_eq!([(); 4].map(|()| host.count()), counts);
}

fn a_shared_instance_is_the_default(subject: &Subject) {
    let host = subject.host(Guest::new(COUNTED));
    assert_eq!([(); 4].map(|()| host.count()), [1, 2, 3, 4]);
}

/// Checks that everything is as the module declares it, then changes all of it. Answers 0 if
/// nothing was changed, otherwise a bit for each changed place. An operation of five letters traps
/// at the end.
const SECRETIVE: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 40)
    (data (i32.const 1500000) "what was there at first!")
    (table $table 1000 10000 funcref)
    (elem (table $table) (i32.const 7) func $first)
    (global $global (mut i64) (i64.const 11))
    (func $first) (func $second)
    (elem declare func $second)
    (func $memory (result i32) (local $at i32)
        (if (i32.ne (memory.size) (i32.const 40)) (then (return (i32.const 1))))
        (loop $words
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
                ;; The text is expected here.
                (then (if (i32.ge_u (i32.sub (local.get $at) (i32.const 1500000)) (i32.const 24))
                    (then (return (i32.const 1))))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $words (i32.lt_u (local.get $at) (i32.const 2621440))))
        (i32.const 0))
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (local $found i32) (local $index i32)
        (local.set $found (call $memory))
        (if (i32.or (i32.ne (i32.load8_u (i32.const 1500000)) (i32.const 119))
                    (i32.ne (i32.load8_u (i32.const 1500023)) (i32.const 33)))
            (then (local.set $found (i32.or (local.get $found) (i32.const 2)))))
        (if (i64.ne (global.get $global) (i64.const 11))
            (then (local.set $found (i32.or (local.get $found) (i32.const 4)))))
        (if (i32.ne (table.size $table) (i32.const 1000))
            (then (local.set $found (i32.or (local.get $found) (i32.const 8)))))
        (loop $elements
            (if (i32.eq (ref.is_null (table.get $table (local.get $index))) (i32.eq (local.get $index) (i32.const 7)))
                (then (local.set $found (i32.or (local.get $found) (i32.const 16)))))
            (local.set $index (i32.add (local.get $index) (i32.const 1)))
            (br_if $elements (i32.lt_u (local.get $index) (i32.const 1000))))

        (drop (memory.grow (i32.const 20)))
        (memory.fill (i32.const 0) (i32.const 0x5e) (i32.shl (memory.size) (i32.const 16)))
        (global.set $global (i64.const 0x5ec2e7))
        (drop (table.grow $table (ref.func $second) (i32.const 5000)))
        (table.fill $table (i32.const 0) (ref.func $second) (i32.const 1000))
        (if (i32.eq (local.get $op) (i32.const 5)) (then unreachable))
        (i32.store (i32.const 0) (local.get $found))
        (call $response (i32.const 0) (i32.const 4))
        (i32.const 1)))"#;

#[track_caller]
fn finds_nothing(host: &Host, calls: usize) {
    for call in 0..calls {
        assert_eq!(
            host.number("look", b""),
            0,
            "what call {call} found of the ones before, a bit for each place"
        );
    }
}

fn no_call_sees_memory_globals_or_tables_of_another(subject: &Subject) {
    let hosts = [(); 3].map(|()| subject.host(isolated(Guest::module(SECRETIVE)).patient()));
    for _ in 0..8 {
        for host in &hosts {
            finds_nothing(host, 2);
        }
    }
    // With a shared instance the guest does find its changes, so the check works.
    if subject.isolation() == Isolation::Reuse {
        let shared = subject.host(Guest::module(SECRETIVE).patient());
        assert_eq!([shared.number("look", b""), shared.number("look", b"")], [0, 31]);
    }
}

fn a_call_that_traps_leaves_nothing_to_the_next(subject: &Subject) {
    let host = subject.host(isolated(Guest::module(SECRETIVE)).patient());
    for _ in 0..4 {
        Failure::TRAPPED.check(&host.call("traps", b"").unwrap_err());
        finds_nothing(&host, 1);
    }
}

fn init_exports_run_for_each_instance(subject: &Subject) {
    let log = Log::default();
    let body = r#"(data (i32.const 60000) "init")
        (func (export "wapc_init") (call $console_log (i32.const 60000) (i32.const 4)))
        (func $run (param i32 i32) (result i32) (call $answer (i32.const 60000) (i32.const 4)))"#;
    let host = subject.host(isolated(Guest::new(body)).log(&log));
    assert_eq!(log.texts(), ["init"], "once to see that it starts");
    for _ in 0..3 {
        assert_eq!(host.answer("run", b""), b"init");
    }
    assert_eq!(log.texts(), ["init"; 3]);
}

fn a_start_counts_as_time_before_the_guest(subject: &Subject) {
    let body = r#"(func (export "_initialize") (local $i i32)
            (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $i) (i32.const 3000000)))))
        (func $run (param i32 i32) (result i32) (call $answer (i32.const 0) (i32.const 0)))"#;
    let host = subject.host(isolated(Guest::new(body)).patient());
    // The guest's thread may lose its processor in the short time that the guest itself takes.
    let mut usages =
        (0..20).map(|_| host.call_with(Request::new("run", b"").usage(true)).unwrap().usage.unwrap());
    let usage = usages.find(|usage| usage.queue_time > usage.guest_time);
    let usage = usage.expect("a start that takes longer than the guest after it");
    assert!(usage.queue_time >= Duration::from_micros(100), "{usage:?}");
}

fn a_start_ends_by_the_deadline_of_its_call(subject: &Subject) {
    let slow = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&slow);
    // It loops if its host answers.
    let body = r#"(func (export "wapc_init")
            (if (call $ask (i32.const 0) (i32.const 0)) (then (loop $for_ever (br $for_ever)))))
        (func $run (param i32 i32) (result i32) (call $answer (i32.const 0) (i32.const 0)))"#;
    let limits = Limits::new().deadline(Duration::from_millis(100));
    let guest = isolated(Guest::new(body)).limits(limits).host_calls_in_init().handler(move |_| {
        if asked.load(Ordering::SeqCst) { Answer::ok("") } else { Answer::Now(Err("not now".into())) }
    });
    let host = subject.host(guest);
    assert_eq!(host.answer("run", b""), b"");
    slow.store(true, Ordering::SeqCst);
    let error = host.call("run", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
    deadline_in(&error, Phase::Rebuild);
    slow.store(false, Ordering::SeqCst);
    assert_eq!(host.answer("run", b""), b"");
}

fn a_request_that_is_refused_disturbs_nothing(subject: &Subject) {
    let host = subject.host(isolated(Guest::new(COUNTED)).limits(Limits::new().request(16)));
    for _ in 0..2 {
        let error = host.call("run", &[0; 17]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:#?}");
        assert_eq!(host.count(), 1);
    }
}

fn a_replacement_serves_each_call_with_an_instance_of_its_own(subject: &Subject) {
    let host = subject.host(isolated(Guest::new(COUNTED)));
    assert_eq!(host.count(), 1);
    assert_eq!(host.replace(b"no module").unwrap_err().kind(), ErrorKind::ReplaceFailed);
    assert_eq!(host.count(), 1);
    host.replace(&wat::module(SECRETIVE)).unwrap();
    finds_nothing(&host, 3);
}

fn limits_hold_for_each_instance(subject: &Subject) {
    let body = "(func $run (param i32 i32) (result i32)
        (i32.store (i32.const 0) (memory.grow (i32.const 8)))
        (call $answer (i32.const 0) (i32.const 4)))";
    let limits = Limits::new().memory(10 * 65_536);
    let host = subject.host(isolated(Guest::new(body)).limits(limits));
    let grown = host.number("run", b"");
    assert!(grown > 0, "room for one growth");
    for _ in 0..3 {
        assert_eq!(host.number("run", b""), grown, "a growth stays with its instance");
    }
}
