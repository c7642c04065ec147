//! Fuel and the deterministic mode on this engine: what the builder makes of them, and engines of
//! the caller.

use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Limits, Request, WapcHost};
use antiphon_wasmtime::wasmtime::{Config, Engine, Module, WasmFeatures};
use antiphon_wasmtime::{EpochDeadlines, WasmtimeEngineProviderBuilder};

/// Answers one byte; `spin` never does.
const GUEST: &[u8] = br#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param $op i32) (param i32) (result i32)
        (loop $again (br_if $again (i32.eq (local.get $op) (i32.const 4))))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1)))"#;

fn builder() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(GUEST)
}

fn engine(fuel: bool) -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true).consume_fuel(fuel);
    Engine::new(&config).unwrap()
}

fn host(builder: &WasmtimeEngineProviderBuilder<'_>, limits: Limits) -> Result<WapcHost, Error> {
    WapcHost::builder(Box::new(builder.build()?)).limits(limits).build()
}

fn refused(builder: &WasmtimeEngineProviderBuilder<'_>) -> ErrorKind {
    match builder.build() {
        Ok(_) => panic!("{builder:?} builds"),
        Err(error) => Error::from(error).kind(),
    }
}

fn fuel_of(host: &WapcHost) -> Option<u64> {
    host.call_with(Request::new("run", b"").usage(true)).unwrap().usage.unwrap().fuel
}

#[test]
fn fuel_is_counted_where_it_was_asked_for_and_nowhere_else() {
    let counts = |builder: &WasmtimeEngineProviderBuilder<'_>| {
        let declared = builder.factory().unwrap().capabilities().fuel;
        assert_eq!(fuel_of(&host(builder, Limits::new()).unwrap()).is_some(), declared);
        declared
    };
    assert!(!counts(&builder()));
    assert!(counts(&builder().limits(Limits::new().fuel(1_000))));
    assert!(counts(&builder().limits(Limits::new().fuel(u64::MAX))));
    assert!(counts(&builder().deterministic(0, Duration::ZERO)));
    assert!(counts(&builder().configure(|config| {
        config.consume_fuel(true);
    })));
    // `configure` cannot turn it off.
    assert!(counts(&builder().limits(Limits::new().fuel(1_000)).configure(|config| {
        config.consume_fuel(false);
    })));
}

#[test]
fn an_engine_of_the_callers_that_counts_fuel_is_held_to_limits_of_it() {
    let engine = engine(true);
    let on_it = || builder().engine(engine.clone());
    assert!(on_it().factory().unwrap().capabilities().fuel);
    // Without a limit the guest gets all the fuel there is; the engine itself would give it none.
    assert!(fuel_of(&host(&on_it(), Limits::new()).unwrap()).is_some_and(|fuel| fuel > 0));
    let limited = Limits::new().fuel(50_000);
    let module = Module::new(&engine, GUEST).unwrap();
    let as_module = || WasmtimeEngineProviderBuilder::new().module(module.clone());
    for host in [
        host(&on_it().limits(limited), Limits::new()),
        host(&on_it(), limited),
        host(&as_module().limits(limited), Limits::new()),
        host(&as_module(), limited),
    ] {
        let error = host.unwrap().call("spin", b"").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::OutOfFuel, Fate::Discarded));
        assert_eq!(
            error.message(),
            "the fuel ran out: the limit is 50000 units (raise it with Limits::fuel)"
        );
    }
}

#[test]
fn an_engine_that_counts_none_refuses_a_limit_of_it() {
    let engine = engine(false);
    let module = Module::new(&engine, GUEST).unwrap();
    let limited = Limits::new().fuel(50_000);
    assert_eq!(refused(&builder().engine(engine.clone()).limits(limited)), ErrorKind::Unsupported);
    assert_eq!(
        refused(&WasmtimeEngineProviderBuilder::new().module(module).limits(limited)),
        ErrorKind::Unsupported
    );
    // A limit that only the host sets is refused when the host is built, on any engine that counts
    // no fuel.
    for builder in [builder().engine(engine.clone()), builder()] {
        let error = host(&builder, limited).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::Unsupported, Fate::NeverBorn));
    }
    // An unlimited `fuel` requires nothing.
    let endless = Limits::new().fuel(u64::MAX);
    assert_eq!(fuel_of(&host(&builder().engine(engine).limits(endless), endless).unwrap()), None);
}

#[test]
fn what_does_not_go_with_the_deterministic_mode_is_refused() {
    let fixed =
        |builder: WasmtimeEngineProviderBuilder<'static>| builder.deterministic(1, Duration::from_secs(1));
    let epochs = EpochDeadlines { wapc_init: 10, wapc_func: 10 };
    let engine = engine(true);
    let module = Module::new(&engine, GUEST).unwrap();
    assert!(fixed(builder()).factory().unwrap().capabilities().deterministic);
    assert!(!builder().factory().unwrap().capabilities().deterministic);
    assert_eq!(refused(&fixed(builder().engine(engine))), ErrorKind::Unsupported);
    assert_eq!(refused(&fixed(WasmtimeEngineProviderBuilder::new().module(module))), ErrorKind::Unsupported);
    assert_eq!(refused(&fixed(builder().enable_epoch_interruptions(epochs))), ErrorKind::Unsupported);
    let pre = fixed(builder()).build_pre().unwrap();
    assert_eq!(Error::from(pre.rehydrate(Some(epochs)).unwrap_err()).kind(), ErrorKind::Unsupported);
    assert!(pre.rehydrate(None).is_ok());

    assert_eq!(refused(&fixed(builder().dir(".", "/"))), ErrorKind::Unsupported);
    assert_eq!(refused(&fixed(builder().read_only_dir(".", "/"))), ErrorKind::Unsupported);
}

#[test]
fn the_deterministic_mode_is_not_to_be_configured_away() {
    let relaxed = br#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32)
            (drop (f32x4.relaxed_min (v128.const i64x2 0 0) (v128.const i64x2 0 0)))
            (i32.const 1)))"#;
    let waiting = br#"(module (memory (export "memory") 1 1 shared)
        (func (export "__guest_call") (param i32 i32) (result i32)
            (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 1000))))"#;
    // 0/0, whose sign differs between processors.
    let nan = br#"(module
        (import "wapc" "__guest_response" (func $response (param i32 i32)))
        (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32)
            (f32.store (i32.const 4) (f32.div (f32.load (i32.const 0)) (f32.load (i32.const 0))))
            (call $response (i32.const 4) (i32.const 4))
            (i32.const 1)))"#;
    let fixed = |module| {
        let configured = WasmtimeEngineProviderBuilder::new().module_bytes(module).configure(|config| {
            config.wasm_features(WasmFeatures::RELAXED_SIMD | WasmFeatures::THREADS, true);
            config.cranelift_nan_canonicalization(false).consume_fuel(false);
        });
        configured.deterministic(1, Duration::ZERO)
    };
    assert_eq!(refused(&fixed(relaxed)), ErrorKind::InvalidModule);
    assert_eq!(refused(&fixed(waiting)), ErrorKind::InvalidModule);
    let answer = host(&fixed(nan), Limits::new()).unwrap().call("run", b"").unwrap();
    assert_eq!(answer, 0x7fc0_0000_u32.to_le_bytes());
}
