//! What the guest's SDKs cost: on the path of a call, in fuel, on every engine, beside a guest by
//! hand; and in bytes.

use std::path::Path;

use antiphon::{Limits, Request, WapcHost};
use antiphon_host::{EngineKind, EngineOptions};

/// The least that an echo can be.
const BY_HAND: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $respond (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
        (call $request (i32.const 0) (i32.const 1024))
        (call $respond (i32.const 1024) (local.get $msg_len))
        (i32.const 1)))"#;

fn built(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/built").join(name)).unwrap()
}

/// Returns the fuel of a call, when the instance has served others before.
fn fuel(engine: EngineKind, module: &[u8], operation: &str, payload: &[u8]) -> u64 {
    let options = EngineOptions::new().limits(Limits::new().fuel(1_000_000_000));
    let factory = engine.factory(module, &options).unwrap();
    let host = WapcHost::builder(factory.provider().unwrap()).build().unwrap();
    let call = || {
        let response = host.call_with(Request::new(operation, payload).usage(true)).unwrap();
        assert_eq!(response.payload, payload, "{engine}: {operation}");
        response.usage.unwrap().fuel.unwrap()
    };
    call();
    let first = call();
    assert_eq!(first, call(), "{engine}: the fuel of one call is that of the next");
    first
}

#[test]
fn an_operation_costs_little_more_than_one_by_hand_and_less_than_half_of_the_incumbent() {
    let [ours, smallest, incumbent] = ["rust-antiphon.wasm", "rust-smallest.wasm", "rust.wasm"].map(built);
    // A reactor: nothing runs at the end of each call.
    let wasi = built("rust-antiphon-wasip1.wasm");
    for engine in EngineKind::available() {
        let by_hand = fuel(engine, BY_HAND.as_bytes(), "echo", b"");
        let above = |module: &[u8], operation: &str| fuel(engine, module, operation, b"") - by_hand;
        let theirs = above(&incumbent, "echo");
        println!("{engine}: {by_hand} by hand; above it: wapc-guest {theirs}");
        for (module, operation) in [(&smallest, "echo"), (&ours, "echo"), (&ours, "null"), (&wasi, "null")] {
            let ours = above(module, operation);
            println!("{engine}: antiphon-guest {ours} for {operation}");
            assert!(ours <= 60, "{engine}: {operation} costs {ours} more than by hand");
            assert!(ours < theirs / 2, "{engine}: {operation} costs {ours}, wapc-guest {theirs}");
        }
    }
}

#[test]
fn the_smallest_module_is_under_twelve_kibibytes_and_half_of_the_incumbents() {
    let [ours, theirs] =
        ["rust-smallest.wasm", "rust-smallest-wapc-guest.wasm"].map(|name| built(name).len());
    println!("{ours} bytes with antiphon-guest, {theirs} with wapc-guest");
    assert!(ours < 12 * 1024, "{ours}");
    assert!(ours < theirs / 2, "{ours} and {theirs}");
}
