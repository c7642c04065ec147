//! Guests that nothing ends from outside.

use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind};
use antiphon::{
    Bytes, HostCall, HostCallError, HostHandler, Isolation, Limits, Request, WapcHost, WapcHostAsync,
    block_on,
};
use antiphon_wasmtime::wasmtime::{Config, Engine};
use antiphon_wasmtime::{EpochDeadlines, WasmtimeEngineProviderBuilder};

/// Answers after its host has answered. An operation of four letters loops forever.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param $op i32) (param i32) (result i32)
        (if (i32.eq (local.get $op) (i32.const 4)) (then (loop $again (br $again))))
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $response (i32.const 0) (i32.const 2))
        (i32.const 1)))"#;

/// Takes longer than the default deadline.
struct Slow;

impl HostHandler for Slow {
    fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        thread::sleep(Duration::from_millis(2_300));
        Ok(Bytes::new())
    }
}

fn builder() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).dangerously_without_interruption()
}

#[track_caller]
fn refused(builder: &WasmtimeEngineProviderBuilder<'_>) {
    let error = Error::from(builder.build().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#?}");
}

#[test]
fn the_default_deadline_is_left_out_and_the_engine_says_that_it_keeps_none() {
    let factory = builder().factory().unwrap();
    let capabilities = factory.capabilities();
    assert!(!capabilities.deadline && capabilities.memory_limit && !capabilities.fuel);
    let host = WapcHost::builder(factory.provider().unwrap()).handler(Slow).build().unwrap();
    let begun = Instant::now();
    assert_eq!(host.call("answer", b"").unwrap(), [0, 0]);
    assert!(
        begun.elapsed() > Limits::new().deadline_or_default(),
        "a call that the default deadline would have ended"
    );
}

#[test]
fn a_deadline_that_is_set_is_refused_wherever_it_is() {
    let limits = Limits::new().deadline(Duration::from_secs(1));
    refused(&builder().limits(limits));
    let host = WapcHost::builder(Box::new(builder().build().unwrap())).limits(limits).build();
    assert_eq!(host.unwrap_err().kind(), ErrorKind::Unsupported);
    let host = WapcHost::new(Box::new(builder().build().unwrap()), None).unwrap();
    let error = host.call_with(Request::new("answer", b"").deadline(Duration::from_secs(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(host.call("answer", b"").unwrap(), [0, 0]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let engine = Engine::new(&Config::new()).unwrap();
    refused(&builder().engine(engine));
    refused(&builder().enable_epoch_interruptions(EpochDeadlines { wapc_init: 1, wapc_func: 1 }));
}

#[test]
fn configure_does_not_turn_interruption_on_again() {
    let configured = builder().configure(|config| {
        config.epoch_interruption(true);
    });
    assert!(!configured.factory().unwrap().capabilities().deadline);
}

#[test]
fn fuel_still_ends_a_guest() {
    let with_fuel = builder().limits(Limits::new().fuel(1_000_000));
    for builder in [with_fuel, builder().deterministic(1, Duration::ZERO)] {
        let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
        assert_eq!(host.call("spin", b"").unwrap_err().kind(), ErrorKind::OutOfFuel);
        assert_eq!(host.call("answer", b"").unwrap(), [0, 0]);
        let host = block_on(WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None)).unwrap();
        assert_eq!(block_on(host.call("spin", b"")).unwrap_err().kind(), ErrorKind::OutOfFuel);
        assert_eq!(block_on(host.call("answer", b"")).unwrap(), [0, 0]);
    }
}

#[test]
fn calls_may_have_instances_of_their_own_as_well() {
    let host =
        WapcHost::new(Box::new(builder().isolation(Isolation::PerCall).build().unwrap()), None).unwrap();
    for _ in 0..3 {
        assert_eq!(host.call("answer", b"").unwrap(), [0, 0]);
    }
}
