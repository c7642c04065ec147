//! Epoch deadlines: whose ticks count depends on whose engine it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use compat::guests::TOOLBOX;
use wapc::errors::{Error, ErrorKind};
use wapc::{Limits, Request, WapcHost, WapcHostAsync};
use wasmtime_provider::wasmtime::{Config, Engine, Module};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder};

use crate::on_record;

/// The deadline under test. The tests demand only half of it, because on a busy machine a deadline
/// counts from a tick that is late.
const SHORT: Duration = Duration::from_millis(100);
const MANY: EpochDeadlines = EpochDeadlines { wapc_init: 100_000, wapc_func: 100_000 };

fn builder() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes())
}

fn host(builder: &WasmtimeEngineProviderBuilder<'_>) -> WapcHost {
    WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap()
}

/// Runs a case with an engine whose epochs advance every 5 ms.
fn ticked(run: impl FnOnce(Engine)) {
    struct Stop(AtomicBool);
    let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let stop = Stop(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let engine_of_ticker = engine.clone();
        scope.spawn(|| {
            let engine = engine_of_ticker;
            while !stop.0.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                engine.increment_epoch();
            }
        });
        // Stopped on drop, because a failing case would otherwise wait for the ticker forever.
        struct Guard<'a>(&'a AtomicBool);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _guard = Guard(&stop.0);
        run(engine);
    });
}

fn ends_within(host: &WapcHost, request: Request<'_>, least: Duration, most: Duration) {
    let started = Instant::now();
    assert_eq!(host.call_with(request).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert!((least / 2..most).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[test]
fn ticks_of_antiphon_s() {
    on_record("Antiphon's ticks, of 5 ms");
    let deadlines = EpochDeadlines { wapc_init: 100, wapc_func: 20 };
    let host = host(&builder().enable_epoch_interruptions(deadlines));
    ends_within(&host, Request::new("loop", b""), Duration::from_millis(100), Duration::from_secs(2));
}

#[test]
fn ticks_replace_the_default_deadline_and_hold_beside_one_that_is_set() {
    on_record("Ticks replace the default wall-clock deadlines, that of a call and that of a start.");
    // 600 ticks of 5 ms are more than 2 s, even if some of them are late.
    let deadlines = EpochDeadlines { wapc_init: 600, wapc_func: 600 };
    let late = host(&builder().enable_epoch_interruptions(deadlines));
    let started = Instant::now();
    assert_eq!(late.call("loop", b"").unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert!(started.elapsed() > Duration::from_millis(2_100), "{:?}", started.elapsed());
    let request = Request::new("loop", b"").deadline(SHORT);
    ends_within(&late, request, SHORT, Duration::from_secs(2));
    ticked(|engine| {
        let limits = Limits::new().deadline(SHORT);
        let host = host(&builder().engine(engine).enable_epoch_interruptions(MANY).limits(limits));
        ends_within(&host, Request::new("loop", b""), SHORT, Duration::from_secs(2));
    });
}

#[test]
fn an_engine_of_one_s_own_without_ticks_has_deadlines_that_are_looked_at_when_it_ticks() {
    on_record("wall-clock deadlines, looked at whenever you advance the epochs");
    ticked(|engine| {
        let host = host(&builder().engine(engine).limits(Limits::new().deadline(SHORT)));
        ends_within(&host, Request::new("loop", b""), SHORT, Duration::from_secs(2));
    });
}

#[test]
fn an_engine_of_one_s_own_without_interruption() {
    on_record("the default deadlines are left out, which one line of level INFO says");
    let plain = Engine::new(&Config::new()).unwrap();
    let given = || builder().engine(plain.clone());
    let refused =
        |builder: WasmtimeEngineProviderBuilder<'_>| Error::from(builder.build().unwrap_err()).kind();
    assert_eq!(refused(given().enable_epoch_interruptions(MANY)), ErrorKind::Unsupported);
    assert_eq!(refused(given().limits(Limits::new().deadline(SHORT))), ErrorKind::Unsupported);
    assert_eq!(refused(given().limits(Limits::new().init_deadline(SHORT))), ErrorKind::Unsupported);
    let host = host(&given());
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
    let request = Request::new("echo", b"hi").deadline(SHORT);
    assert_eq!(host.call_with(request).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_module_brings_its_engine() {
    on_record("A `module` that you pass in brings its engine, which counts as yours.");
    let module = Module::new(&Engine::new(&Config::new()).unwrap(), TOOLBOX).unwrap();
    let with = || WasmtimeEngineProviderBuilder::new().module(module.clone());
    assert_eq!(host(&with()).call("echo", b"hi").unwrap(), b"hi");
    let error = with().enable_epoch_interruptions(MANY).build().unwrap_err();
    assert_eq!(Error::from(error).kind(), ErrorKind::Unsupported);
}

#[test]
fn ticks_end_guest_code_alone() {
    on_record("Ticks that pass while a handler runs count, as before");
    on_record("Nothing but a deadline that you set ends a handler that is awaited");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let slow = || -> Option<Box<wapc::HostCallbackAsync>> {
        Some(Box::new(|_, _, _, _, payload| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(payload)
            })
        }))
    };
    // After its host call, the guest runs on past the tick at which it is checked.
    let busy = TOOLBOX.replace(
        "(call $answer (i32.const 65536))",
        "(call $answer (i32.const 65536)) (loop $forever (br $forever))",
    );
    runtime.block_on(async {
        let few = EpochDeadlines { wapc_init: 100, wapc_func: 10 };
        let engine = WasmtimeEngineProviderBuilder::new()
            .module_bytes(busy.as_bytes())
            .enable_epoch_interruptions(few)
            .build_async()
            .unwrap();
        let host = WapcHostAsync::new(Box::new(engine), slow()).await.unwrap();
        let started = Instant::now();
        assert!(host.call("host", b"").await.unwrap_err().is_deadline());
        assert!(started.elapsed() >= Duration::from_millis(500), "the handler was cut short");
        let started = Instant::now();
        let request = Request::new("host", b"").deadline(SHORT);
        assert!(host.call_with(request).await.unwrap_err().is_deadline());
        assert!(started.elapsed() < Duration::from_millis(500), "the handler was waited for");
    });
}

#[test]
fn as_many_ticks_as_there_are_numbers_never_end() {
    let endless = EpochDeadlines { wapc_init: u64::MAX, wapc_func: u64::MAX };
    ticked(|engine| {
        // The epoch is no longer 0, so that adding `u64::MAX` ticks to it would overflow.
        engine.increment_epoch();
        for builder in [builder().engine(engine), builder()] {
            let host = host(&builder.enable_epoch_interruptions(endless));
            assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
        }
    });
}
