//! What the builder does with its options. Options that wasmi cannot serve are refused, never
//! ignored.

use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Limits, WapcHost, WasiParams};
use antiphon_wasmi::WasmiEngineProviderBuilder;
use antiphon_wasmi::wasmi::{Config, EnforcedLimits};

/// Answers one byte; `spin`, an operation of four letters, never does.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param $op i32) (param i32) (result i32)
        (loop $again (br_if $again (i32.eq (local.get $op) (i32.const 4))))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1)))"#;

type Builder = WasmiEngineProviderBuilder<'static>;

fn builder() -> Builder {
    WasmiEngineProviderBuilder::new().module_bytes(GUEST.as_bytes())
}

fn host(builder: &Builder, limits: Limits) -> Result<WapcHost, Error> {
    WapcHost::builder(Box::new(builder.build()?)).limits(limits).build()
}

/// Returns why a provider is refused. The reason is the same in either mode and for a factory.
#[track_caller]
fn refused(builder: &Builder) -> Error {
    let error = builder.build().map(|_| ()).unwrap_err();
    let kinds =
        [builder.build_async().map(|_| ()), builder.factory().map(|_| ())].map(|built| built.unwrap_err());
    assert_eq!(kinds.map(|error| error.kind()), [error.kind(); 2]);
    error
}

#[track_caller]
fn unsupported(builder: &Builder, what: &str) {
    let error = refused(builder);
    assert_eq!((error.kind(), error.fate()), (ErrorKind::Unsupported, Fate::NeverBorn), "{error:#?}");
    assert!(error.message().contains(what), "{error}");
}

#[test]
fn what_wasmi_has_no_answer_to_is_refused() {
    unsupported(&WasmiEngineProviderBuilder::new(), "no `module_bytes`");
    let granted = WasiParams { argv: vec!["guest".into()], ..WasiParams::default() };
    assert_eq!(host(&builder().wasi_params(granted), Limits::new()).unwrap().call("run", b"").unwrap(), [0]);
}

#[test]
fn neither_fuel_nor_the_deterministic_mode_is_to_be_configured_away() {
    let without = builder().configure(|config| {
        config.consume_fuel(false);
    });
    let capabilities = without.factory().unwrap().capabilities();
    assert!(capabilities.fuel && capabilities.deadline && !capabilities.deterministic);
    let fixed = builder().deterministic(1, Duration::from_secs(1)).factory().unwrap();
    assert!(fixed.capabilities().deterministic);
    let limits = Limits::new().deadline(Duration::from_millis(50));
    let error = host(&without, limits).unwrap().call("spin", b"").unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::DeadlineExceeded, Fate::Discarded));

    let relaxed = br#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32)
            (drop (f32x4.relaxed_min (v128.const i64x2 0 0) (v128.const i64x2 0 0)))
            (i32.const 1)))"#;
    let configured = || {
        WasmiEngineProviderBuilder::new().module_bytes(relaxed).configure(|config| {
            config.wasm_relaxed_simd(true);
        })
    };
    assert_eq!(refused(&configured().deterministic(1, Duration::ZERO)).kind(), ErrorKind::InvalidModule);
    // Without the deterministic mode, the feature can be turned on.
    let error = host(&configured(), Limits::new()).unwrap().call("run", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GuestMisbehaved);
}

/// Returns a module of this many functions. They are large enough for each of wasmi's limits except
/// the one on their number.
fn crowd(functions: usize) -> String {
    let body = "(drop (i64.const 0x123456789abcdef0))".repeat(4);
    let crowd = format!("(func {body})").repeat(functions - 1);
    format!(
        r#"(module (memory (export "memory") 1) {crowd}
            (func (export "__guest_call") (param i32 i32) (result i32) {body} (i32.const 1)))"#
    )
}

#[test]
fn wasmis_own_limits_on_modules_hold_for_whoever_asks_for_them() {
    let crowded = wat::parse_str(crowd(10_001)).unwrap();
    let builder = || WasmiEngineProviderBuilder::new().module_bytes(&crowded);
    let strict = |config: &mut Config| {
        config.enforced_limits(EnforcedLimits::strict());
    };
    let error = builder().configure(strict).build().map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::InvalidModule, Fate::NeverBorn));
    assert!(error.message().contains("the limit of 10000 functions"), "{error}");
    let host = WapcHost::new(Box::new(builder().build().unwrap()), None).unwrap();
    assert_eq!(host.call("run", b"").unwrap_err().kind(), ErrorKind::GuestMisbehaved);
    // One function less is accepted, with wasmi's limits or without.
    let crowded = wat::parse_str(crowd(10_000)).unwrap();
    let provider =
        WasmiEngineProviderBuilder::new().module_bytes(&crowded).configure(strict).build().unwrap();
    let error = WapcHost::new(Box::new(provider), None).unwrap().call("run", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GuestMisbehaved);
}

#[test]
fn a_deeper_stack_holds_a_deeper_recursion_and_its_limit_is_named() {
    /// Recurses as deep as the payload has bytes, or without end for an operation of four letters.
    const RECURSES: &str = r#"(module
        (import "wapc" "__guest_response" (func $response (param i32 i32)))
        (memory (export "memory") 1)
        (func $down (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
            (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
        (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
            (i32.store (i32.const 0) (call $down (select (i32.const -1) (local.get $msg) (i32.eq (local.get $op) (i32.const 4)))))
            (call $response (i32.const 0) (i32.const 4))
            (i32.const 1)))"#;

    let recurses =
        |limits| WasmiEngineProviderBuilder::new().module_bytes(RECURSES.as_bytes()).limits(limits);
    let deep = vec![0; 100_000];
    let host_of = |builder: &Builder| host(builder, Limits::new()).unwrap();
    let usual = host_of(&recurses(Limits::new()));
    let error = usual.call("down!", &deep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StackOverflow);
    assert_eq!(error.exceeded().unwrap().to_string(), "stack: 524288 of 524288 bytes");
    for stack in [4_u64 << 20, 64 << 20] {
        let host = host_of(&recurses(Limits::new().stack(stack)));
        assert_eq!(host.call("down!", &deep).unwrap(), 100_000_u32.to_le_bytes());
        let error = host.call("dive", b"").unwrap_err();
        assert_eq!((error.kind(), error.exceeded().unwrap().allowed), (ErrorKind::StackOverflow, stack));
        assert!(error.message().contains("(raise it with Limits::stack)"), "{error}");
    }
    // Very little is a stack too, on which hardly any guest runs.
    let host = host_of(&recurses(Limits::new().stack(100)));
    assert_eq!(host.call("down!", &deep).unwrap_err().kind(), ErrorKind::StackOverflow);
}

#[test]
fn a_stack_that_cannot_be_had_or_comes_too_late_is_refused() {
    for wrong in [0, (1 << 30) + 1, u64::MAX] {
        unsupported(&builder().limits(Limits::new().stack(wrong)), &format!("`stack` of {wrong} bytes"));
    }
    let error = host(&builder(), Limits::new().stack(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#?}");
    assert!(error.message().contains("on the builder"), "{error}");
}
