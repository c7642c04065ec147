//! Deadlines in time: a caller is answered by its deadline, whatever the guest does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Phase};
use antiphon::{Bytes, Limits, Request};

use crate::cases::{RELAY, echo};
use crate::suite::{Case, Guest, Log, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, cause, deadline_in, says, soon, timed, took};

pub(super) const CASES: &[Case] = &[
    case!(deadline::an_endless_loop_ends_at_the_limit).needs(&[Need::Deadline]),
    case!(deadline::a_request_may_bring_a_shorter_deadline).needs(&[Need::Deadline]),
    case!(deadline::a_request_may_bring_a_longer_deadline).needs(&[Need::Deadline]),
    case!(deadline::calls_that_begin_in_one_tick_keep_their_own_deadlines).needs(&[Need::Deadline]),
    case!(deadline::the_default_is_two_seconds).needs(&[Need::Deadline]),
    case!(deadline::a_deadline_without_end_is_served).needs(&[Need::Deadline]),
    case!(deadline::a_call_that_has_no_time_left_does_not_begin).needs(&[Need::Deadline]),
    case!(deadline::a_call_that_has_no_time_left_starts_no_instance).needs(&[Need::Deadline]),
    case!(deadline::a_call_on_behalf_of_one_that_is_over_does_not_begin).needs(&[Need::Deadline]),
    case!(deadline::endless_work_of_other_shapes_ends_too).needs(&[Need::Deadline]),
    case!(deadline::an_endless_chain_of_host_calls_ends_too).needs(&[Need::Deadline]),
    case!(deadline::a_pending_host_call_ends_at_the_deadline)
        .needs(&[Need::Deadline, Need::Suspend])
        .only(Mode::ASYNC),
    case!(deadline::after_a_handler_that_blocks_the_deadline_is_looked_at)
        .needs(&[Need::Deadline])
        .only(&[Mode::Sync]),
    case!(deadline::waiting_for_a_busy_host_ends_at_the_deadline).needs(&[Need::Deadline]),
    case!(deadline::time_in_the_queue_counts).needs(&[Need::Deadline]),
    case!(deadline::a_rebuild_counts_against_the_call).needs(&[Need::Deadline]),
    case!(deadline::an_endless_initialize_is_a_failed_start).needs(&[Need::Deadline]),
    case!(deadline::an_endless_start_is_a_failed_start).needs(&[Need::Deadline]),
    case!(deadline::an_endless_wapc_init_is_a_failed_start).needs(&[Need::Deadline]),
    case!(deadline::an_endless_start_section_is_a_failed_start).needs(&[Need::Deadline]),
    case!(deadline::a_pending_host_call_of_the_start_ends_at_its_deadline).needs(&[Need::Deadline]),
    case!(deadline::after_a_pause_of_all_calls_deadlines_still_hold).needs(&[Need::Deadline]),
    case!(deadline::a_call_that_keeps_its_deadline_is_not_ended).needs(&[Need::Deadline]),
];

const MS: Duration = Duration::from_millis(1);

/// Spins forever.
pub(crate) const SPIN: &str = "(func $run (param i32 i32) (result i32) (call $spin) (i32.const 1))";

fn an_endless_loop_ends_at_the_limit(subject: &Subject) {
    let limits = Limits::new().deadline(80 * MS);
    let host = subject.host(Guest::new(SPIN).limits(limits));
    for _ in 0..2 {
        let (error, elapsed) = timed(|| host.fails("run", b"", Failure::DEADLINE_IN_GUEST));
        deadline_in(&error, Phase::Guest);
        took(elapsed, 80 * MS);
        assert!(error.is_limit());
    }
}

fn a_request_may_bring_a_shorter_deadline(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN).limits(Limits::new().deadline(Duration::from_secs(60))));
    let request = Request::new("run", b"").deadline(80 * MS);
    let (error, elapsed) = timed(|| host.fails_with(request, Failure::DEADLINE_IN_GUEST));
    deadline_in(&error, Phase::Guest);
    took(elapsed, 80 * MS);
}

fn a_request_may_bring_a_longer_deadline(subject: &Subject) {
    let host = subject.host(
        Guest::new(RELAY)
            .limits(Limits::new().deadline(100 * MS))
            .handler(|call| Answer::After(250 * MS, echo(call))),
    );
    let response = host.call_with(Request::new("run", b"late").deadline(Duration::from_secs(60)));
    assert_eq!(response.unwrap().payload, b"late");
    Failure::DEADLINE_IN_HOST.check(&host.call("run", b"late").unwrap_err());
}

fn calls_that_begin_in_one_tick_keep_their_own_deadlines(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).limits(Limits::new().deadline(1000 * MS)).handler(|call| {
        match call.payload {
            b"late" => Answer::After(200 * MS, echo(call)),
            b"too late" => Answer::After(1300 * MS, echo(call)),
            _ => Answer::Now(echo(call)),
        }
    }));
    for _ in 0..2 {
        // Answered at once, so the next call mostly begins in the same tick.
        let shorter = Request::new("run", b"soon").deadline(100 * MS);
        assert_eq!(host.call_with(shorter).unwrap().payload, b"soon");
        assert_eq!(host.call("run", b"late").unwrap(), b"late");
        let longer = Request::new("run", b"soon").deadline(Duration::from_secs(60));
        assert_eq!(host.call_with(longer).unwrap().payload, b"soon");
        Failure::DEADLINE_IN_HOST.check(&host.call("run", b"too late").unwrap_err());
    }
}

fn the_default_is_two_seconds(subject: &Subject) {
    // The guest asks its host, which takes most of the time, and spins for the rest.
    let body = "(func $run (param i32 i32) (result i32)
                  (drop (call $ask (i32.const 0) (i32.const 0))) (call $spin) (i32.const 1))";
    let host = subject.host(Guest::new(body).handler(|_| Answer::After(1700 * MS, Ok(Bytes::new()))));
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    // A machine that stands still may come back to the handler only after the deadline.
    let (failure, phase) = match error.phase() {
        Some(Phase::HostCall) => (Failure::DEADLINE_IN_HOST, Phase::HostCall),
        _ => (Failure::DEADLINE_IN_GUEST, Phase::Guest),
    };
    failure.check(&error);
    deadline_in(&error, phase);
    took(elapsed, 2000 * MS);
    host.counted(1);
}

/// Expects the error of a call that had no time left.
#[track_caller]
fn was_too_late(error: &Error) {
    Failure::DEADLINE_BEFORE.check(error);
    assert_eq!(error.phase(), Some(Phase::Queue));
    assert_eq!(error.to_string(), "the call's deadline was over before the call began");
    assert_eq!(error.exceeded().map(|exceeded| exceeded.limit), Some("deadline"));
}

fn a_call_that_has_no_time_left_does_not_begin(subject: &Subject) {
    let log = Log::default();
    let body = r#"(func $run (param i32 i32) (result i32)
                    (call $console_log (i32.const 0) (i32.const 5))
                    (call $answer (i32.const 0) (i32.const 0)))
                  (data (i32.const 0) "begun")"#;
    let host = subject.host(Guest::new(body).log(&log));
    host.counted(1);
    for _ in 0..3 {
        let request = Request::new("run", b"").deadline(Duration::ZERO);
        was_too_late(&host.call_with(request).unwrap_err());
    }
    assert_eq!(log.texts(), [""; 0]);
    host.counted(2);
    // The shortest time that is left is enough for a short call.
    host.call_with(Request::new("run", b"").deadline(Duration::from_nanos(1))).unwrap();
    assert_eq!(log.texts(), ["begun"]);
}

fn a_call_that_has_no_time_left_starts_no_instance(subject: &Subject) {
    let log = Log::default();
    let body = r#"(func (export "wapc_init") (call $console_log (i32.const 0) (i32.const 5)))
                  (func $run (param i32 i32) (result i32) unreachable)
                  (data (i32.const 0) "start")"#;
    let host = subject.host(Guest::new(body).log(&log));
    Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    // Where each call has an instance of its own, the host has started one before.
    assert_eq!(log.texts().last().unwrap(), "start");
    was_too_late(&host.call_with(Request::new("run", b"").deadline(Duration::ZERO)).unwrap_err());
    assert_eq!(log.texts(), [""; 0]);
    host.counted(1);
}

fn a_call_on_behalf_of_one_that_is_over_does_not_begin(subject: &Subject) {
    // The handler keeps its caller beyond the deadline of its call.
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let outer = subject.host(Guest::new(RELAY).answers(move |call| {
        *keep.lock().unwrap() = Some(call.caller());
        echo(call)
    }));
    outer.call_with(Request::new("run", b"outer").deadline(50 * MS)).unwrap();
    thread::sleep(100 * MS);
    let inner = subject.host(Guest::new(RELAY).answers(echo));
    let caller = kept.lock().unwrap().take().unwrap();
    was_too_late(&inner.call_with(Request::new("run", b"inner").caller(caller)).unwrap_err());
    inner.counted(1);
}

fn a_deadline_without_end_is_served(subject: &Subject) {
    let quick = subject.host(Guest::new(crate::cases::ECHO));
    let request = Request::new("echo", b"unhurried").deadline(Duration::MAX);
    assert_eq!(quick.call_with(request).unwrap().payload, b"unhurried");
}

fn endless_work_of_other_shapes_ends_too(subject: &Subject) {
    let bodies = [
        // calls, in a loop that never ends, without depth
        "(func $run (param i32 i32) (result i32)
           (loop $again (call $nothing) (br $again)) unreachable)
         (func $nothing)",
        // filling memory, which keeps the engine itself busy
        "(func $run (param i32 i32) (result i32)
           (loop $outer (block $out (loop $inner (br_if $out (i32.const 1)) (br $inner))) (br $outer))
           unreachable)",
        // filling memory, which takes the engine itself some time
        "(func $run (param i32 i32) (result i32)
           (loop $again
             (memory.fill (i32.const 0) (i32.const 0) (i32.const 60000))
             (memory.copy (i32.const 0) (i32.const 100) (i32.const 60000))
             (br $again))
           unreachable)",
        // indirect calls
        "(table funcref (elem $nothing)) (func $nothing)
         (func $run (param i32 i32) (result i32)
           (loop $again (call_indirect (i32.const 0)) (br $again)) unreachable)",
        // logging, after its budget is spent
        "(func $run (param i32 i32) (result i32)
           (loop $again (call $console_log (i32.const 0) (i32.const 1)) (br $again)) unreachable)",
        // answering
        "(func $run (param i32 i32) (result i32)
           (loop $again
             (call $guest_request (i32.const 0) (i32.const 0))
             (call $guest_response (i32.const 0) (i32.const 60000))
             (call $guest_error (i32.const 0) (i32.const 60000))
             (br $again))
           unreachable)",
    ];
    for body in bodies {
        let log = crate::suite::Log::default();
        let host = subject.host(Guest::new(body).limits(Limits::new().deadline(30 * MS)).log(&log));
        let (error, elapsed) = timed(|| host.fails("run", b"", Failure::DEADLINE_IN_GUEST));
        deadline_in(&error, Phase::Guest);
        took(elapsed, 30 * MS);
    }
}

fn an_endless_chain_of_host_calls_ends_too(subject: &Subject) {
    let limits = Limits::new().deadline(100 * MS).host_calls(u64::MAX).host_call_bytes(u64::MAX);
    let guest = Guest::new(
        "(func $run (param i32 i32) (result i32)
           (loop $again (drop (call $ask (i32.const 0) (i32.const 8))) (br $again)) unreachable)",
    )
    .limits(limits);
    // The deadline may pass in the guest or in the host.
    for guest in [guest.clone().answers(echo), guest] {
        let host = subject.host(guest);
        host.counted(1);
        let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
        took(elapsed, 100 * MS);
        host.counted(1);
    }
}

fn a_pending_host_call_ends_at_the_deadline(subject: &Subject) {
    let host =
        subject.host(Guest::new(RELAY).limits(Limits::new().deadline(120 * MS)).handler(|_| Answer::Never));
    for request in [Request::new("run", b""), Request::new("run", b"").deadline(120 * MS)] {
        let (error, elapsed) = timed(|| host.fails_with(request, Failure::DEADLINE_IN_HOST));
        deadline_in(&error, Phase::HostCall);
        took(elapsed, 120 * MS);
    }
}

fn after_a_handler_that_blocks_the_deadline_is_looked_at(subject: &Subject) {
    let after = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&after);
    // A second host call would show that the guest ran on.
    let host = subject.host(
        Guest::new(
            "(func $run (param i32 i32) (result i32)
               (drop (call $ask (i32.const 0) (i32.const 0)))
               (drop (call $ask (i32.const 0) (i32.const 1)))
               (i32.const 1))",
        )
        .limits(Limits::new().deadline(100 * MS))
        .handler(move |call| {
            counter.fetch_add(call.payload.len() as u32, Ordering::Relaxed);
            Answer::After(250 * MS, Ok(Bytes::new()))
        }),
    );
    let (error, elapsed) = timed(|| host.fails("run", b"", Failure::DEADLINE_IN_HOST));
    deadline_in(&error, Phase::HostCall);
    took(elapsed, 250 * MS);
    assert_eq!(after.load(Ordering::Relaxed), 0, "the guest ran on after its deadline");
}

fn waiting_for_a_busy_host_ends_at_the_deadline(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).handler(|call| Answer::After(400 * MS, echo(call))));
    host.counted(1);
    thread::scope(|scope| {
        let busy = scope.spawn(|| host.answer("run", b"busy"));
        thread::sleep(50 * MS);
        let request = Request::new("run", b"impatient").deadline(100 * MS);
        let (error, elapsed) = timed(|| host.call_with(request).unwrap_err());
        Failure::DEADLINE_BEFORE.check(&error);
        deadline_in(&error, Phase::Queue);
        took(elapsed, 100 * MS);
        assert_eq!(busy.join().unwrap(), b"busy", "the call that was running is not disturbed");
    });
    // The call that gave up never reached the guest.
    host.counted(3);
}

fn time_in_the_queue_counts(subject: &Subject) {
    // 800 ms in the queue, then 800 ms in the handler: only together they exceed the deadline of
    // 1,500 ms.
    let host = subject.host(
        Guest::new(RELAY)
            .limits(Limits::new().deadline(1500 * MS))
            .handler(|call| Answer::After(800 * MS, echo(call))),
    );
    thread::scope(|scope| {
        let first = scope.spawn(|| host.answer("run", b"first"));
        thread::sleep(30 * MS);
        let (error, elapsed) = timed(|| host.call("run", b"second").unwrap_err());
        assert_eq!(first.join().unwrap(), b"first");
        Failure::DEADLINE_IN_HOST.check(&error);
        deadline_in(&error, Phase::HostCall);
        took(elapsed, 1500 * MS);
    });
    host.counted(1);
}

fn a_rebuild_counts_against_the_call(subject: &Subject) {
    // Every start but the first spends 400 ms in a handler.
    let starts = AtomicU32::new(0);
    let host = subject.host(
        Guest::new(
            r#"(func (export "wapc_init") (drop (call $ask (i32.const 0) (i32.const 0))))
               (func $run (param i32 i32) (result i32) unreachable)"#,
        )
        .host_calls_in_init()
        .handler(move |_| match starts.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::ok(""),
            _ => Answer::After(400 * MS, Ok(Bytes::new())),
        }),
    );
    Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    let request = Request::new("run", b"").deadline(100 * MS);
    let (error, elapsed) = timed(|| host.call_with(request).unwrap_err());
    Failure::DEADLINE_BEFORE.check(&error);
    deadline_in(&error, Phase::Rebuild);
    took(elapsed, 100 * MS);
    // A call with more time gets a fresh instance.
    host.counted(1);
}

#[track_caller]
fn endless_start(subject: &Subject, body: &str, name: Option<&str>) {
    let body = format!("{body} (func $run (param i32 i32) (result i32) (i32.const 1))");
    // Long enough to reach the function on a busy machine: the error names it.
    let limit = 150 * MS;
    let guest = Guest::new(&body).limits(Limits::new().init_deadline(limit));
    let (error, elapsed) = timed(|| subject.refuses(guest, Failure::INIT_FAILED));
    assert!(error.is_deadline(), "{error:#?}");
    assert_eq!(cause(&error).kind(), ErrorKind::DeadlineExceeded);
    match name {
        Some(name) => assert_eq!(
            error.to_string(),
            format!("Initialization failed: {name} init interrupted, execution deadline exceeded")
        ),
        None => says(&error, &["Initialization failed: ", "init interrupted, execution deadline exceeded"]),
    }
    took(elapsed, limit);
}

fn an_endless_initialize_is_a_failed_start(subject: &Subject) {
    endless_start(subject, r#"(func (export "_initialize") (call $spin))"#, Some("_initialize"));
}

fn an_endless_start_is_a_failed_start(subject: &Subject) {
    endless_start(subject, r#"(func (export "_start") (call $spin))"#, Some("_start"));
}

fn an_endless_wapc_init_is_a_failed_start(subject: &Subject) {
    endless_start(subject, r#"(func (export "wapc_init") (call $spin))"#, Some("wapc_init"));
}

fn an_endless_start_section_is_a_failed_start(subject: &Subject) {
    endless_start(subject, "(start $spin)", None);
}

fn a_pending_host_call_of_the_start_ends_at_its_deadline(subject: &Subject) {
    let guest = Guest::new(
        r#"(func (export "wapc_init") (drop (call $ask (i32.const 0) (i32.const 0))))
           (func $run (param i32 i32) (result i32) (i32.const 1))"#,
    )
    .host_calls_in_init()
    .limits(Limits::new().init_deadline(150 * MS))
    .handler(|_| Answer::Never);
    let (error, elapsed) = timed(|| subject.refuses(guest, Failure::INIT_FAILED));
    assert!(error.is_deadline(), "{error:#?}");
    took(elapsed, 150 * MS);
}

fn after_a_pause_of_all_calls_deadlines_still_hold(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN));
    for _ in 0..2 {
        // Long enough for the ticker to fall asleep, which it does while nothing runs.
        thread::sleep(600 * MS);
        let request = Request::new("run", b"").deadline(100 * MS);
        let (error, elapsed) = timed(|| host.call_with(request).unwrap_err());
        deadline_in(&error, Phase::Guest);
        took(elapsed, 100 * MS);
    }
}

fn a_call_that_keeps_its_deadline_is_not_ended(subject: &Subject) {
    // A guest that is busy for many ticks and then answers.
    let host = subject.host(
        Guest::new(
            "(func $run (param i32 i32) (result i32)
               (loop $again
                 (if (i32.eqz (call $ask (i32.const 0) (i32.const 0))) (then (return (call $answer_i32 (i32.const 3)))))
                 (local.set 0 (i32.const 20000))
                 (loop $work (br_if $work (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
                 (br $again))
               unreachable)",
        )
        .limits(Limits::new().deadline(Duration::from_secs(60)).host_calls(u64::MAX))
        .answers({
            let until = std::sync::OnceLock::new();
            move |_| {
                let until = until.get_or_init(|| Instant::now() + 200 * MS);
                if Instant::now() < *until { Ok(Bytes::new()) } else { Err("enough".into()) }
            }
        }),
    );
    let (answer, elapsed) = timed(|| host.number("run", b""));
    assert_eq!(answer, 3);
    soon(elapsed, 200 * MS);
    host.counted(2);
}
