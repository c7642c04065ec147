//! Epoch deadlines on the program's own engine, in both modes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use compat::differs;
use compat::guests::{self, TOOLBOX};
use wasmtime_provider::wasmtime::{Config, Engine};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder};

use crate::hosts::Host;

const INTERRUPTED: &str = "guest code interrupted, execution deadline exceeded";
const TICK: Duration = Duration::from_millis(10);

/// An engine whose epochs are advanced by a thread of the program.
struct Ticked {
    engine: Engine,
    stop: Arc<AtomicBool>,
}

impl Ticked {
    fn new() -> Self {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let (engine, stop) = (engine.clone(), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            }
        });
        Self { engine, stop }
    }

    fn builder<'a>(&self, module: &'a str, deadlines: EpochDeadlines) -> WasmtimeEngineProviderBuilder<'a> {
        WasmtimeEngineProviderBuilder::new()
            .engine(self.engine.clone())
            .module_bytes(module.as_bytes())
            .enable_epoch_interruptions(deadlines)
    }
}

impl Drop for Ticked {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_guest_that_loops_is_interrupted_and_its_host_serves_on() {
    let ticked = Ticked::new();
    let deadlines = EpochDeadlines { wapc_init: 1_000, wapc_func: 50 };
    for host in Host::started(&ticked.builder(TOOLBOX, deadlines), None) {
        for _ in 0..2 {
            let started = Instant::now();
            assert_eq!(host.call("loop", b"").unwrap_err(), format!("Guest call failure: {INTERRUPTED}"));
            // Fifty ticks; the first may be half over.
            assert!(started.elapsed() >= 49 * TICK, "after {:?}", started.elapsed());
            assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
        }
    }
}

#[test]
fn a_guest_that_loops_in_its_start_is_interrupted() {
    let ticked = Ticked::new();
    let deadlines = EpochDeadlines { wapc_init: 5, wapc_func: 1_000 };
    for name in ["_start", "wapc_init"] {
        let looping =
            guests::echo_with("", &format!(r#"(func (export "{name}") (loop $again (br $again)))"#));
        for text in Host::refused(&ticked.builder(&looping, deadlines)) {
            let expected =
                format!("Initialization failed: {name} init interrupted, execution deadline exceeded");
            // The incumbent writes `Initialization failed: ` twice.
            assert!(text.ends_with(&expected), "{text}");
        }
    }
}

#[test]
fn no_ticks_at_all_and_more_than_will_ever_pass() {
    let ticked = Ticked::new();
    let none = EpochDeadlines { wapc_init: 1_000, wapc_func: 0 };
    for host in Host::started(&ticked.builder(TOOLBOX, none), None) {
        assert_eq!(host.call("echo", b"hi").unwrap_err(), format!("Guest call failure: {INTERRUPTED}"));
    }
    // Longer than any service runs, and far enough from `u64::MAX` that adding it to the epoch does
    // not overflow.
    let ages = EpochDeadlines { wapc_init: u64::MAX / 2, wapc_func: u64::MAX / 2 };
    for host in Host::started(&ticked.builder(TOOLBOX, ages), None) {
        assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
    }
}

#[test]
fn an_engine_without_interruption_cannot_keep_them() {
    let plain = Engine::new(&Config::new()).unwrap();
    let deadlines = EpochDeadlines { wapc_init: 1, wapc_func: 1 };
    let pre = WasmtimeEngineProviderBuilder::new().engine(plain).module_bytes(TOOLBOX.as_bytes()).build_pre();
    let pre = pre.unwrap();
    assert!(pre.rehydrate(None).is_ok());
    let ignored = differs! {
        incumbent: true,
        antiphon: false,
        because: "an `engine` of yours without epoch interruption | refused as `Unsupported`",
    };
    assert_eq!(pre.rehydrate(Some(deadlines)).is_ok(), ignored);
}
