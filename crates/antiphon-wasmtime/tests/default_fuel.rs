//! A process's default limit of fuel, in a process of its own: defaults are set once.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use antiphon::errors::{ErrorKind, Fate};
use antiphon::{Limits, WapcHost, set_default_limits};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use antiphon_wasmtime::wasmtime::{Config, Engine};

const GUEST: &[u8] = br#"(module
    (import "wapc" "__guest_response" (func $respond (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)))"#;

#[test]
fn a_default_of_fuel_is_kept_or_refused_by_name_and_never_left_out() {
    set_default_limits(Limits::new().fuel(1_000)).unwrap();

    let ours = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST);
    let host = WapcHost::builder(Box::new(ours.build().unwrap())).build().unwrap();
    assert_eq!(host.call("any", b"").unwrap(), b"");

    let build = |config: &Config, limits: Limits| {
        let engine = Engine::new(config).unwrap();
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST).engine(engine).limits(limits);
        let provider = builder.build().map_err(antiphon::errors::Error::from)?;
        WapcHost::builder(Box::new(provider)).build()?.call("any", b"")
    };
    let without = Config::new();
    for (limits, whose) in [
        (Limits::new(), "the process's default limit of fuel needs an engine that counts it"),
        (Limits::new().fuel(7), "a limit of fuel needs an engine that counts it"),
    ] {
        let refused = build(&without, limits).unwrap_err();
        assert_eq!((refused.kind(), refused.fate()), (ErrorKind::Unsupported, Fate::NeverBorn), "{refused}");
        assert!(refused.message().starts_with(whose), "{refused}");
    }
    let mut with = Config::new();
    with.consume_fuel(true);
    assert_eq!(build(&with, Limits::new()).unwrap(), b"");
    // What is set replaces the default, and no limit at all needs no counting.
    assert_eq!(build(&without, Limits::new().fuel(u64::MAX)).unwrap(), b"");
}
