//! Guests on threads with little native stack. wasmi keeps a guest's own stack on the heap. Its
//! handlers jump from one to the next. Where the compiler made calls of those jumps, they call one
//! another until the slice of fuel ends.

use std::thread;
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::{Bytes, HostCall, HostCallError, HostHandler, Limits, Request, WapcHost};
use antiphon_wasmi::WasmiEngineProviderBuilder;

/// Returns a guest that does its deed again and again.
fn guest(extra: &str, deed: &str) -> String {
    format!(
        r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wapc" "__host_response_len" (func $response_len (result i32)))
    (memory (export "memory") 32)
    (table $table 8 funcref)
    (global $wide (mut v128) (v128.const i64x2 1 2))
    {extra}
    (func (export "__guest_call") (param $op i32) (param i32) (result i32) (local $x i32) (local $n i64) (local $f f64)
        (if (i32.eq (local.get $op) (i32.const 2)) (then
            (call $response (i32.const 0) (i32.const 1))
            (return (i32.const 1))))
        (loop $again
            (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (local.set $x (i32.wrap_i64 (local.get $n)))
            {deed}
            (br $again))
        (unreachable)))"#
    )
}

/// Returns the kinds of code that a guest may consist of, each in a loop that only its deadline
/// ends.
fn guests() -> Vec<(&'static str, String)> {
    let chain: String = (0..500)
        .map(|link| format!("(func $c{link} (param i32) (result i32) (call $c{} (local.get 0)))", link + 1))
        .collect();
    let calls = format!("{chain} (func $c500 (param i32) (result i32) (local.get 0))");
    let tail = "(func $tail (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (return_call $tail (i32.sub (local.get 0) (i32.const 1))))";
    let indirect = "(type $t (func (param i32) (result i32))) (elem (i32.const 0) $id) (func $id (type $t) (local.get 0))";
    let grows = "(func (result i32) (table.grow $table (ref.null func) (i32.const 1)))";
    let step = "(if (i32.and (local.get $x) (i32.const 1))
        (then (local.set $x (i32.add (local.get $x) (i32.const 3))))
        (else (local.set $x (i32.sub (local.get $x) (i32.const 1)))))";
    let bulk = "(memory.fill (i32.const 0) (local.get $x) (i32.const 0x100000))
        (memory.copy (i32.const 0x80000) (i32.const 0) (i32.const 0x100000))
        (memory.fill (local.get $x) (local.get $x) (i32.const 0))
        (table.fill $table (i32.const 0) (ref.null func) (i32.const 8))
        (drop (memory.grow (i32.const 0)))";
    vec![
        ("a loop", guest("", "")),
        ("branches", guest("", &step.repeat(800))),
        ("a straight line", guest("", &"(i64.store (i32.const 8) (i64.load (i32.const 16)))".repeat(5_000))),
        (
            "floats",
            guest(
                "",
                &"(local.set $f (f64.sqrt (f64.add (local.get $f) (f64.convert_i64_u (local.get $n)))))"
                    .repeat(50),
            ),
        ),
        ("divisions", guest("", "(drop (i64.div_s (i64.const -9) (i64.or (local.get $n) (i64.const 1))))")),
        (
            "vectors",
            guest(
                "",
                "(global.set $wide (i64x2.mul (global.get $wide) (i8x16.shuffle 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 0 (global.get $wide) (global.get $wide))))",
            ),
        ),
        (
            "br_table",
            guest(
                "",
                "(block $a (block $b (block $c (br_table $a $b $c (i32.and (local.get $x) (i32.const 3))))))",
            ),
        ),
        ("calls", guest(&calls, "(drop (call $c0 (i32.const 1)))")),
        ("tail calls", guest(tail, "(drop (call $tail (i32.const 10000)))")),
        ("indirect calls", guest(indirect, "(drop (call_indirect (type $t) (i32.const 1) (i32.const 0)))")),
        ("many locals", guest(&format!("(func $many (local {}))", "i64 ".repeat(20_000)), "(call $many)")),
        ("imports", guest("", "(drop (call $response_len))")),
        ("responses", guest("", "(call $response (i32.const 0) (i32.const 0x100000))")),
        (
            "host calls",
            guest(
                "",
                "(drop (call $host_call (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1024)))",
            ),
        ),
        ("bulk operations", guest("", bulk)),
        ("bulk operations beside table.grow", guest(grows, bulk)),
    ]
}

struct Echo;

impl HostHandler for Echo {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        Ok(Bytes::copy_from_slice(call.payload))
    }
}

#[test]
fn loops_of_all_kinds_fit_onto_a_small_thread() {
    for (name, text) in guests() {
        let on_thread = move || {
            // On a thread of its own, because this test is not about parsing text.
            let module = thread::spawn(move || wat::parse_str(text).unwrap()).join().unwrap();
            let limits = Limits::new().deadline(Duration::from_millis(40)).host_calls(u64::MAX);
            let provider =
                WasmiEngineProviderBuilder::new().module_bytes(&module).limits(limits).build().unwrap();
            let host = WapcHost::builder(Box::new(provider)).handler(Echo).build().unwrap();
            for _ in 0..2 {
                let error = host.call("spin", b"").unwrap_err();
                let ended = matches!(error.kind(), ErrorKind::DeadlineExceeded | ErrorKind::HostCallLimit);
                assert!(ended, "{error:#?}");
                let go = Request::new("go", b"").deadline(Duration::from_secs(20));
                assert_eq!(host.call_with(go).unwrap().payload, [0]);
            }
        };
        let thread = thread::Builder::new().name(name.into()).stack_size(128 << 10);
        thread.spawn(on_thread).unwrap().join().unwrap();
    }
}

#[test]
fn calls_without_end_are_ended_there() {
    for (name, dive) in [
        ("calls", "(func $dive (param i32) (result i32) (i32.add (i32.const 1) (call $dive (local.get 0))))"),
        (
            "indirect calls",
            "(type $t (func (param i32) (result i32))) (elem (i32.const 0) $dive)
             (func $dive (type $t) (i32.add (i32.const 1) (call_indirect (type $t) (local.get 0) (i32.const 0))))",
        ),
    ] {
        let text = guest(dive, "(drop (call $dive (local.get $x)))");
        let on_thread = move || {
            let provider = WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes()).build().unwrap();
            let host = WapcHost::new(Box::new(provider), None).unwrap();
            for _ in 0..3 {
                assert_eq!(host.call("dive", b"").unwrap_err().kind(), ErrorKind::StackOverflow);
                assert_eq!(host.call("go", b"").unwrap(), [0]);
            }
        };
        let thread = thread::Builder::new().name(name.into()).stack_size(256 << 10);
        thread.spawn(on_thread).unwrap().join().unwrap();
    }
}
