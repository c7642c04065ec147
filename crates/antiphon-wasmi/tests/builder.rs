//! What the builder makes of its options: what wasmi has no answer to is refused, never ignored.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Limits, Request, WapcHost, WasiParams};
use antiphon_wasmi::WasmiEngineProviderBuilder;
use antiphon_wasmi::wasmi::{CompilationMode, Config, CustomFuelCosts, EnforcedLimits, Engine, Module};

/// Answers one byte; `spin`, of four letters, never does.
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

fn engine(fuel: bool) -> Engine {
    let mut config = Config::default();
    config.consume_fuel(fuel).compilation_mode(CompilationMode::Eager);
    Engine::new(&config)
}

fn module(engine: &Engine) -> Module {
    Module::new(engine, wat::parse_str(GUEST).unwrap()).unwrap()
}

fn host(builder: &Builder, limits: Limits) -> Result<WapcHost, Error> {
    WapcHost::builder(Box::new(builder.build()?)).limits(limits).build()
}

/// Why a provider is refused, in either mode and as a factory alike.
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
    unsupported(&builder().read_only_dir("/tmp", "/"), "directories");
    unsupported(&builder().enable_epoch_interruptions((10, 10)), "epoch ticks");
    unsupported(&builder().enable_cache(None), "a cache");
    unsupported(&builder().enable_cache(Some(Path::new("config.toml"))), "a cache");
    let mapped = WasiParams { map_dirs: vec![("/".into(), "/tmp".into())], ..WasiParams::default() };
    let opened = WasiParams { preopened_dirs: vec!["/tmp".into()], ..WasiParams::default() };
    for params in [mapped, opened] {
        unsupported(&builder().wasi_params(params.clone()), "directories");
        // Nor are they forgotten where nothing would use them.
        unsupported(&builder().wasi(false).wasi_params(params), "directories");
    }
    // What was asked for first is named.
    unsupported(&builder().enable_cache(None).read_only_dir("/tmp", "/"), "a cache");
    // Before the module is looked at.
    let nothing = WasmiEngineProviderBuilder::new().module_bytes(b"no module");
    unsupported(&nothing.enable_cache(None), "a cache");
    let granted = WasiParams { argv: vec!["guest".into()], ..WasiParams::default() };
    assert_eq!(host(&builder().wasi_params(granted), Limits::new()).unwrap().call("run", b"").unwrap(), [0]);
}

#[test]
fn a_module_comes_once_and_in_one_way() {
    let engine = engine(true);
    unsupported(&WasmiEngineProviderBuilder::new(), "Neither `module_bytes` nor `module`");
    unsupported(&builder().module(module(&engine)), "at the same time");
    assert_eq!(host(&builder(), Limits::new()).unwrap().call("run", b"").unwrap(), [0]);
    let translated = WasmiEngineProviderBuilder::new().module(module(&engine));
    assert_eq!(host(&translated, Limits::new()).unwrap().call("run", b"").unwrap(), [0]);
}

#[test]
fn the_deterministic_mode_goes_with_an_engine_of_our_own_only() {
    let engine = engine(true);
    let fixed = |builder: Builder| builder.deterministic(1, Duration::from_secs(1));
    unsupported(&fixed(builder().engine(engine.clone())), "`deterministic`");
    unsupported(&fixed(WasmiEngineProviderBuilder::new().module(module(&engine))), "`deterministic`");
    assert!(fixed(builder()).factory().unwrap().capabilities().deterministic);
    assert!(!builder().factory().unwrap().capabilities().deterministic);
}

#[test]
fn an_engine_of_our_own_has_fuel_whatever_is_configured() {
    let without = builder().configure(|config| {
        config.consume_fuel(false);
    });
    let capabilities = without.factory().unwrap().capabilities();
    assert!(capabilities.fuel && capabilities.deadline);
    let limits = Limits::new().with_deadline(Duration::from_millis(50));
    let error = host(&without, limits).unwrap().call("spin", b"").unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::DeadlineExceeded, Fate::Discarded));
}

#[test]
fn the_deterministic_mode_is_not_to_be_configured_away() {
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
    // Whoever asks for the feature itself has it.
    let error = host(&configured(), Limits::new()).unwrap().call("run", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GuestMisbehaved);
}

#[test]
fn an_engine_of_the_callers_that_counts_no_fuel_refuses_what_hangs_on_it() {
    let engine = engine(false);
    let on_it = || builder().engine(engine.clone());
    let as_module = || WasmiEngineProviderBuilder::new().module(module(&engine));
    for limits in [
        Limits::new().with_fuel(50_000),
        Limits::new().with_deadline(Duration::from_secs(1)),
        Limits::new().with_init_deadline(Duration::from_secs(1)),
        Limits::new().with_init_deadline(Duration::from_secs(1)).with_deadline(Duration::MAX),
    ] {
        unsupported(&on_it().limits(limits), "an engine that counts fuel");
        unsupported(&as_module().limits(limits), "an engine that counts fuel");
        // And where the host alone sets them.
        for builder in [on_it(), as_module()] {
            match host(&builder, limits) {
                Err(error) => {
                    assert_eq!((error.kind(), error.fate()), (ErrorKind::Unsupported, Fate::NeverBorn));
                }
                Ok(_) => panic!("{limits:?} are ignored"),
            }
        }
    }
    // A deadline in the request.
    let host_of_it = host(&on_it(), Limits::new()).unwrap();
    let error = host_of_it.call_with(Request::new("run", b"").deadline(Duration::from_secs(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#?}");
    // No limit asks for nothing; without fuel there is none to report.
    let endless =
        Limits::new().with_fuel(u64::MAX).with_deadline(Duration::MAX).with_init_deadline(Duration::MAX);
    let capabilities = on_it().limits(endless).factory().unwrap().capabilities();
    assert!(!capabilities.fuel && !capabilities.deadline);
    let response = host(&on_it().limits(endless), endless).unwrap();
    let response = response.call_with(Request::new("run", b"").usage(true)).unwrap();
    assert_eq!((response.payload, response.usage.unwrap().fuel), (vec![0], None));
}

#[test]
fn an_engine_of_the_callers_that_counts_fuel_is_held_to_limits_and_deadlines() {
    let engine = engine(true);
    for builder in
        [builder().engine(engine.clone()), WasmiEngineProviderBuilder::new().module(module(&engine))]
    {
        let error = host(&builder, Limits::new().with_fuel(50_000)).unwrap().call("spin", b"").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::OutOfFuel, Fate::Discarded));
        assert_eq!(error.message(), "the fuel ran out: the limit is 50000 units");
        let short = Limits::new().with_deadline(Duration::from_millis(50));
        let host = host(&builder, short).unwrap();
        assert_eq!(host.call("spin", b"").unwrap_err().kind(), ErrorKind::DeadlineExceeded);
        assert_eq!(host.call("run", b"").unwrap(), [0]);
    }
}

#[test]
fn an_engine_that_charges_for_lazy_translation_is_refused() {
    for mode in [CompilationMode::LazyTranslation, CompilationMode::Lazy, CompilationMode::Eager] {
        for (fuel, charged) in [(true, true), (true, false), (false, true)] {
            let mut config = Config::default();
            config.consume_fuel(fuel).compilation_mode(mode);
            if !charged {
                config.fuel_cost(CustomFuelCosts {
                    bytes_copied_per_fuel: 64,
                    fuel_per_bytes_translated: 0,
                    fuel_per_bytes_validated: 0,
                });
            }
            let engine = Engine::new(&config);
            let lazy = !matches!(mode, CompilationMode::Eager);
            for builder in
                [builder().engine(engine.clone()), WasmiEngineProviderBuilder::new().module(module(&engine))]
            {
                if fuel && charged && lazy {
                    unsupported(&builder, "charges fuel for lazy translation");
                } else {
                    assert_eq!(host(&builder, Limits::new()).unwrap().call("run", b"").unwrap(), [0]);
                }
            }
        }
    }
}

#[test]
fn an_engine_that_is_configured_to_charge_for_lazy_translation_is_refused() {
    fn charge(config: &mut Config) {
        config.fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 7,
            fuel_per_bytes_validated: 2,
        });
    }
    unsupported(&builder().configure(charge), "charges fuel for lazy translation");
    let eager = builder().configure(|config| {
        charge(config);
        config.compilation_mode(CompilationMode::Eager);
    });
    assert_eq!(host(&eager, Limits::new()).unwrap().call("run", b"").unwrap(), [0]);
}

/// A module of so many functions, which weigh enough for each of wasmi's limits but that of their number.
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
    // One less is served, limits or not.
    let crowded = wat::parse_str(crowd(10_000)).unwrap();
    let provider =
        WasmiEngineProviderBuilder::new().module_bytes(&crowded).configure(strict).build().unwrap();
    let error = WapcHost::new(Box::new(provider), None).unwrap().call("run", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GuestMisbehaved);
}
