//! How late a deadline comes for guests that use the time of a slice as much as possible.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use antiphon::errors::{ErrorKind, Fate};
use antiphon::{Limits, Request, WapcHost, WapcHostAsync};
use antiphon_wasmi::WasmiEngineProviderBuilder;

/// `spin`, an operation of four letters, does its deed until it is ended. All other operations
/// answer at once.
fn guest(extra: &str, deed: &str, pages: u32) -> String {
    format!(
        r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") {pages})
    {extra}
    (func (export "__guest_call") (param $op i32) (param i32) (result i32) (local $x i64)
        (loop $again
            {deed}
            (br_if $again (i32.eq (local.get $op) (i32.const 4))))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1)))"#
    )
}

fn guests() -> Vec<(&'static str, String)> {
    let random = "(local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
        (local.set $x (i64.xor (local.get $x)
            (i64.load (i32.and (i32.wrap_i64 (i64.shr_u (local.get $x) (i64.const 33))) (i32.const 0x3fffff8)))))";
    vec![
        ("a loop", guest("", "", 1)),
        (
            "calls of 30,000 locals",
            guest(&format!("(func $many (local {}))", "i64 ".repeat(29_990)), "(call $many)", 1),
        ),
        ("fills of 1 MiB", guest("", "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0x100000))", 32)),
        (
            "copies of 1 MiB",
            guest("", "(memory.copy (i32.const 0) (i32.const 0x100000) (i32.const 0x100000))", 32),
        ),
        (
            "fills of 1 MiB beside table.grow",
            guest(
                "(table $table 0 funcref) (func (result i32) (table.grow $table (ref.null func) (i32.const 1)))",
                "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0x100000))",
                32,
            ),
        ),
        ("loads at random from 64 MiB", guest("", random, 1024)),
        ("responses of 1 KiB", guest("", "(call $response (i32.const 0) (i32.const 1024))", 1)),
        ("responses of 4 MiB", guest("", "(call $response (i32.const 0) (i32.const 0x400000))", 64)),
    ]
}

const LIMIT: Duration = Duration::from_millis(30);
/// Two ticks.
const TICKS: Duration = Duration::from_millis(10);

/// Returns the delay that the machine may add, as in the conformance suite.
fn slack() -> Duration {
    let set = std::env::var("ANTIPHON_CONFORMANCE_SLACK_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(set.unwrap_or(500))
}

/// Checks how late each of many calls ended.
fn check(name: &str, mut late: Vec<Duration>) {
    late.sort();
    let at = |share: usize| late.get((late.len() - 1) * share / 100).unwrap();
    println!(
        "{name}: {} ends, late by p50 {:.1?}, p99 {:.1?}, max {:.1?}",
        late.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(*at(99) <= TICKS + slack(), "{name}: {:?} late", at(99));
    // A single late slice is the machine's fault. If half of them are late, slices are too long.
    assert!(*at(50) <= TICKS + slack() / 4, "{name}: {:?} late", at(50));
}

/// One call at a time, on an instance that exists already, because building one takes time.
#[test]
fn a_guest_ends_two_ticks_after_its_deadline_at_the_latest() {
    const CALLS: u32 = 12;

    for (name, text) in guests() {
        let provider = WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes()).build().unwrap();
        let limits = Limits::new().deadline(Duration::from_secs(30));
        let host = WapcHost::builder(Box::new(provider)).limits(limits).build().unwrap();
        let mut late = Vec::new();
        for _ in 0..CALLS {
            assert_eq!(host.call("answer", b"").unwrap().len(), 1);
            let started = Instant::now();
            let error = host.call_with(Request::new("spin", b"").deadline(LIMIT)).unwrap_err();
            let took = started.elapsed();
            assert_eq!(
                (error.kind(), error.fate()),
                (ErrorKind::DeadlineExceeded, Fate::Discarded),
                "{error:#?}"
            );
            // A tick that is late by less than a millisecond counts as on time.
            assert!(took >= LIMIT - Duration::from_millis(1), "{name}: {took:?}");
            late.push(took.saturating_sub(LIMIT));
        }
        check(name, late);
    }
}

/// Without a working deadline this guest answers, and the test fails; the guests above would loop
/// forever.
#[test]
fn a_guest_that_would_end_after_a_while_is_ended_before() {
    let text = guest(
        "",
        "(loop $turn (br_if $turn (i64.ne (i64.const 50000000)
            (local.tee $x (i64.add (local.get $x) (i64.const 1))))))",
        1,
    );
    let builder = WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes());
    let limits = Limits::new().deadline(LIMIT);
    let host = WapcHost::builder(Box::new(builder.build().unwrap())).limits(limits).build().unwrap();
    assert_eq!(host.call("answer", b"").unwrap_err().kind(), ErrorKind::DeadlineExceeded);
}

#[test]
fn on_an_executor_it_ends_in_time_too() {
    const CALLS: u32 = 5;

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (name, text) in guests() {
        runtime.block_on(async {
            let provider =
                WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes()).build_async().unwrap();
            let limits = Limits::new().deadline(Duration::from_secs(30));
            let host = WapcHostAsync::builder(Box::new(provider)).limits(limits).build().await.unwrap();
            let mut late = Vec::new();
            for _ in 0..CALLS {
                assert_eq!(host.call("answer", b"").await.unwrap().len(), 1);
                let started = Instant::now();
                let error = host.call_with(Request::new("spin", b"").deadline(LIMIT)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
                late.push(started.elapsed().saturating_sub(LIMIT));
            }
            check(name, late);
        });
    }
}

#[test]
fn a_busy_guest_gives_way_unless_it_was_told_not_to() {
    let text = guest("", "", 1);
    for cooperative in [true, false] {
        let builder =
            WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes()).cooperative(cooperative);
        let limits = Limits::new().deadline(Duration::from_millis(200));
        let host = WapcHostAsync::builder(Box::new(builder.build_async().unwrap())).limits(limits);
        let host = antiphon::block_on(host.build()).unwrap();
        let mut call = pin!(host.call("spin", b""));
        // The guest is in the middle of its loop, or at its end.
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => assert!(cooperative),
            Poll::Ready(ended) => {
                assert!(!cooperative, "it held its thread until its deadline");
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
            }
        }
    }
}
