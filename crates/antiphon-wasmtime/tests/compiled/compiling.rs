//! Modules that are loaded by the threads of a rayon pool, in which wasmtime would also compile.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use antiphon::WapcHost;
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use rayon::prelude::*;

/// Returns a guest with many functions, so that its compilation is shared out. It answers with
/// `number`.
fn guest(number: u32) -> String {
    let functions: String = (0..200)
        .map(|each| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {each})))"))
        .collect();
    format!(
        r#"(module
            (import "wapc" "__guest_response" (func $response (param i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{number:04}")
            {functions}
            (func (export "__guest_call") (param i32 i32) (result i32)
                (call $response (i32.const 0) (i32.const 4)) (i32.const 1)))"#
    )
}

/// Loads and calls the guest, and returns its answer.
fn loaded(number: u32) -> Vec<u8> {
    let wat = guest(number);
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(wat.as_bytes()).build().unwrap();
    WapcHost::new(Box::new(engine), None).unwrap().call("op", b"").unwrap()
}

#[test]
fn modules_that_are_loaded_in_parallel_do_not_wait_for_each_other_for_ever() {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let answers: Vec<_> = (0..32_u32).into_par_iter().map(loaded).collect();
        sender.send(answers).unwrap();
    });
    // Other threads load modules at the same time, outside the pool.
    let beside = thread::spawn(|| (0..8).for_each(|_| assert_eq!(loaded(9_999), b"9999")));
    let answers = ended.recv_timeout(Duration::from_secs(60)).expect("they wait for each other");
    let expected: Vec<_> = (0..32).map(|number| format!("{number:04}").into_bytes()).collect();
    assert_eq!(answers, expected);
    beside.join().unwrap();
}
