//! Starts that never end: the first start, and that of a rebuild.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Bytes, Limits};

use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Answer, Failure, cause, deadline_in, says, timed, took};

const MS: Duration = Duration::from_millis(1);
const NEEDS: &[Need] = &[Need::Deadline];

pub(super) const CASES: &[Case] = &[
    case!(hostile_endless_starts::in_the_start_section_after_growing).needs(NEEDS).hostile(),
    case!(hostile_endless_starts::in_initialize_by_tail_calls).needs(NEEDS).hostile(),
    case!(hostile_endless_starts::in_start_by_logging).needs(NEEDS).hostile(),
    case!(hostile_endless_starts::in_wapc_init_by_host_calls).needs(NEEDS).hostile(),
    case!(hostile_endless_starts::a_little_in_each_place_of_the_start).needs(NEEDS).hostile(),
    case!(hostile_endless_starts::in_a_rebuild).keeps_state().needs(NEEDS).hostile(),
];

/// Expects a start to run out of time in `place`.
#[track_caller]
fn start_ends(subject: &Subject, guest: Guest, place: &str) {
    let (error, elapsed) = timed(|| subject.refuses(guest, Failure::INIT_FAILED));
    assert!(error.is_deadline(), "{error:#?}");
    assert_eq!(cause(&error).kind(), ErrorKind::DeadlineExceeded);
    says(&error, &["Initialization failed: ", place, "init interrupted, execution deadline exceeded"]);
    took(elapsed, 80 * MS);
}

/// Returns a guest that has 80 ms to start.
fn starting(body: &str) -> Guest {
    let body = format!("(func $run (param i32 i32) (result i32) (i32.const 1)) {body}");
    let limits = Limits::new().init_deadline(80 * MS).host_calls(u64::MAX);
    Guest::new(&body).limits(limits).log(&Log::default())
}

fn in_the_start_section_after_growing(subject: &Subject) {
    let guest = starting(
        "(start $early)
         (func $early
           (drop (memory.grow (i32.const 1023)))
           (loop $again
             (memory.fill (i32.const 65536) (i32.const 1) (i32.const 0x3ff0000))
             (br $again)))",
    );
    start_ends(subject, guest, "start section");
}

fn in_initialize_by_tail_calls(subject: &Subject) {
    let guest = starting(r#"(func $early (export "_initialize") (return_call $early))"#);
    start_ends(subject, guest, "_initialize");
}

fn in_start_by_logging(subject: &Subject) {
    let guest = starting(
        r#"(func (export "_start")
             (loop $again (call $console_log (i32.const 0) (i32.const 65536)) (br $again)))"#,
    );
    start_ends(subject, guest, "_start");
}

fn in_wapc_init_by_host_calls(subject: &Subject) {
    let body = r#"(func (export "wapc_init")
        (loop $again (drop (call $ask (i32.const 0) (i32.const 1))) (br $again)))"#;
    // With host calls that are refused, and with host calls that are served.
    start_ends(subject, starting(body), "wapc_init");
    start_ends(subject, starting(body).host_calls_in_init().answers(|_| Ok(Bytes::new())), "wapc_init");
}

fn a_little_in_each_place_of_the_start(subject: &Subject) {
    // 120 ms in each of four places, with 200 ms for all of them: the second place is one too many.
    let guest = starting(
        r#"(start $early) (export "_initialize" (func $early)) (export "_start" (func $early))
           (export "wapc_init" (func $early))
           (func $early (drop (call $ask (i32.const 0) (i32.const 0))))"#,
    );
    let guest = guest
        .limits(Limits::new().init_deadline(200 * MS))
        .host_calls_in_init()
        .handler(|_| Answer::After(120 * MS, Ok(Bytes::new())));
    let (error, elapsed) = timed(|| subject.refuses(guest, Failure::INIT_FAILED));
    assert!(error.is_deadline(), "{error:#?}");
    says(&error, &["_initialize"]);
    // The host waits for a handler that blocks its thread.
    took(elapsed, 200 * MS);
}

fn in_a_rebuild(subject: &Subject) {
    // The first start is quick, the second spins, the third is quick again: the handler decides.
    let starts = AtomicU32::new(0);
    let guest = Guest::new(
        r#"(func (export "_initialize") (if (i32.eqz (call $ask (i32.const 0) (i32.const 0))) (then (call $spin))))
           (func $run (param i32 i32) (result i32) unreachable)"#,
    );
    let limits = Limits::new().deadline(60 * MS);
    let host = subject.host(guest.limits(limits).host_calls_in_init().answers(move |_| {
        match starts.fetch_add(1, Ordering::Relaxed) {
            1 => Err("spin".into()),
            _ => Ok(Bytes::new()),
        }
    }));
    Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    Failure::DEADLINE_BEFORE.check(&error);
    deadline_in(&error, Phase::Rebuild);
    took(elapsed, 60 * MS);
    // The next call gets its instance.
    host.counted(1);
}
