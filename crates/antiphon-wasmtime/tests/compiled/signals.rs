//! Guests on threads that block signals.

use std::process::{Command, Output};

use antiphon::errors::ErrorKind;
use antiphon::{Isolation, WapcHost, WapcHostAsync};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

/// Traps in the way that the length of the operation says, and answers one byte for any other.
const GUEST: &[u8] = br#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (table 1 funcref)
    (func $dive (param i32) (result i32) (i32.add (i32.const 1) (call $dive (local.get 0))))
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (if (i32.eq (local.get $op) (i32.const 1)) (then unreachable))
        (if (i32.eq (local.get $op) (i32.const 2)) (then (drop (i32.load (i32.const 65536)))))
        (if (i32.eq (local.get $op) (i32.const 3)) (then (drop (i32.div_u (i32.const 1) (local.get $msg)))))
        (if (i32.eq (local.get $op) (i32.const 4)) (then (drop (call $dive (i32.const 0)))))
        (if (i32.eq (local.get $op) (i32.const 5)) (then (call_indirect (i32.const 0))))
        (if (i32.eq (local.get $op) (i32.const 6)) (then (drop (i32.load (i32.const -16)))))
        (call $response (i32.const 0) (i32.const 1)) (i32.const 1)))"#;

fn builder() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(GUEST)
}

fn traps(builder: &WasmtimeEngineProviderBuilder<'_>) {
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    let later = builder.build_async().unwrap();
    antiphon::block_on(async {
        let later = WapcHostAsync::new(Box::new(later), None).await.unwrap();
        for length in 1..=6 {
            let expected = if length == 4 { ErrorKind::StackOverflow } else { ErrorKind::Trapped };
            let operation = "x".repeat(length);
            let error = host.call(&operation, b"").unwrap_err();
            assert_eq!(error.kind(), expected, "{length}: {error:#?}");
            let error = later.call(&operation, b"").await.unwrap_err();
            assert_eq!(error.kind(), expected, "{length}: {error:#?}");
            assert_eq!(host.call("", b"").unwrap(), later.call("", b"").await.unwrap());
        }
    });
}

#[test]
fn guests_trap_alike_without_signals() {
    for isolation in [Isolation::Reuse, Isolation::PerCall] {
        traps(&builder().isolation(isolation));
        traps(&builder().isolation(isolation).signals_based_traps(false));
    }
}

#[test]
fn an_engine_of_the_callers_has_signals_or_not() {
    let engine = antiphon_wasmtime::wasmtime::Engine::default();
    let refused = builder().engine(engine).signals_based_traps(false).build().map(drop).unwrap_err();
    assert_eq!(antiphon::errors::Error::from(refused).kind(), ErrorKind::Unsupported);
}

/// Run by the test below in a process whose threads block the signals.
#[test]
#[ignore = "needs a process that blocks signals"]
fn traps_by_signals() {
    traps(&builder());
}

/// Run by the test below in a process whose threads block the signals.
#[test]
#[ignore = "needs a process that blocks signals"]
fn traps_without_signals() {
    traps(&builder().signals_based_traps(false));
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_blocks_all_signals_runs_guests_whose_traps_are_none() {
    let blocked = |name: &str| -> Output {
        let name = format!("signals::{name}");
        let signals =
            ["--block-signal=SEGV", "--block-signal=BUS", "--block-signal=ILL", "--block-signal=FPE"];
        let mut command = Command::new("env");
        command.args(signals).arg(std::env::current_exe().unwrap()).args(["--ignored", "--exact", &name]);
        command.output().unwrap()
    };
    // Without the option the system ends the process: that is what the option is for.
    assert!(blocked("traps_by_signals").status.code().is_none());
    let output = blocked("traps_without_signals");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
