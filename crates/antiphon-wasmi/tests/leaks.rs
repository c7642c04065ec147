//! What wasmi keeps as long as its engine (stacks, and the code of modules) must not add up.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use antiphon::{Bytes, HostCall, HostCallError, HostHandlerAsync, WapcHost, WapcHostAsync};
use antiphon_wasmi::WasmiEngineProviderBuilder;

/// Counts its calls. `ask1` waits for its host, `sleep1` waits for a clock, and `spin` loops
/// forever. Each does so twenty calls deep.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (func $wait (param $op i32) (param $depth i32)
        (if (local.get $depth) (then
            (call $wait (local.get $op) (i32.sub (local.get $depth) (i32.const 1)))
            (return)))
        (if (i32.eq (local.get $op) (i32.const 3)) (then
            (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                                   (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))
        (if (i32.eq (local.get $op) (i32.const 5)) (then
            ;; A subscription to the monotonic clock, a second from now.
            (i32.store (i32.const 272) (i32.const 1))
            (i64.store (i32.const 280) (i64.const 1000000000))
            (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 600)))))
        (if (i32.eq (local.get $op) (i32.const 4)) (then (loop $again (br $again)))))
    (func (export "__guest_call") (param $op i32) (param i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (call $wait (local.get $op) (i32.const 20))
        (i32.store (i32.const 0) (global.get $calls))
        (call $response (i32.const 0) (i32.const 4))
        (i32.const 1)))"#;

/// Never answers.
struct Never;

#[async_trait::async_trait]
impl HostHandlerAsync for Never {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        std::future::pending().await
    }
}

/// One test at a time, because resident memory is that of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs something many times, twice. The second time must take no more memory.
fn stays_flat(what: &str, times: u32, mut run: impl FnMut()) {
    const MOST: u64 = 2 << 20;

    for _ in 0..times / 4 {
        run();
    }
    let before = resident();
    for _ in 0..times {
        run();
    }
    let grown = resident().saturating_sub(before);
    println!("{what}: {times} times, {} KiB more", grown >> 10);
    assert!(grown <= MOST, "{what}: {grown} bytes more after {times} times");
}

#[test]
fn a_call_that_is_dropped_wherever_it_waits_leaves_nothing() {
    let _alone = ALONE.lock();
    let provider = WasmiEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).build_async().unwrap();
    let host = antiphon::block_on(WapcHostAsync::builder(Box::new(provider)).handler(Never).build()).unwrap();
    for (operation, times) in [("ask", 1_000), ("sleep", 1_000), ("spin", 400)] {
        stays_flat(operation, times, || {
            {
                let mut call = pin!(host.call(operation, b""));
                let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(polled, Poll::Pending), "{operation} ended: {polled:?}");
            }
            // A fresh instance that has seen one call, and then another.
            let answer = || antiphon::block_on(host.call("go", b"")).unwrap();
            assert_eq!(answer(), 1_u32.to_le_bytes());
            assert_eq!(answer(), 2_u32.to_le_bytes());
        });
    }
}

#[test]
fn a_module_that_was_replaced_leaves_nothing() {
    let _alone = ALONE.lock();
    // Each module has code and data of its own, and functions that are translated when they are
    // called.
    let module = |number: u32| {
        let code = format!("(drop (i32.add (i32.const {number}) (i32.const 1)))").repeat(400);
        let text = format!(
            r#"(module
            (import "wapc" "__guest_response" (func $response (param i32 i32)))
            (memory (export "memory") 1)
            (func $code {code})
            (func (export "__guest_call") (param i32 i32) (result i32)
                (call $code)
                (i32.store (i32.const 0) (i32.const {number}))
                (call $response (i32.const 0) (i32.const 4))
                (i32.const 1)))"#
        );
        wat::parse_str(text).unwrap()
    };
    let modules = [module(0), module(1), module(2)];
    let provider = WasmiEngineProviderBuilder::new().module_bytes(&modules[0]).build().unwrap();
    let host = WapcHost::new(Box::new(provider), None).unwrap();
    let mut number = 0;
    stays_flat("replacements", 1_000, || {
        number = (number + 1) % 3;
        host.replace_module(&modules[number]).unwrap();
        assert_eq!(host.call("go", b"").unwrap(), u32::try_from(number).unwrap().to_le_bytes());
    });
}
