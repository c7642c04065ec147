//! What programs written for `wasmtime-provider` do with the builder, in both modes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Limits, WapcHost, WapcHostAsync, block_on};
use antiphon_wasmtime::wasmtime::{Config, Engine, Module};
use antiphon_wasmtime::{EpochDeadlines, ResourceLimits, WasmtimeEngineProviderBuilder};

/// `loop` loops, `grow` answers how many pages it could grow to, and all other operations echo. The
/// guest tells them apart by their length.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (table (export "table") 1 funcref)
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (if (i32.eq (local.get $op) (i32.const 5)) (then (loop $again (br $again))))
        (if (i32.eq (local.get $op) (i32.const 6)) (then
            (loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))
            (i32.store (i32.const 0) (memory.size))
            (call $response (i32.const 0) (i32.const 4))
            (return (i32.const 1))))
        (if (i32.eq (local.get $op) (i32.const 7)) (then
            (i32.store (i32.const 0) (table.grow (ref.null func) (i32.const 100)))
            (call $response (i32.const 0) (i32.const 4))
            (return (i32.const 1))))
        (call $request (i32.const 0) (i32.const 64))
        (call $response (i32.const 64) (local.get $msg))
        (i32.const 1)))"#;

const LOOP: &str = "loop!";
const GROW: &str = "grow!!";
const GROW_TABLE: &str = "table!!";

/// The guest on a host of either kind.
enum Host {
    Sync(WapcHost),
    Async(WapcHostAsync),
}

impl Host {
    fn both(builder: &WasmtimeEngineProviderBuilder<'_>) -> [Self; 2] {
        let sync = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
        let asynchronous = WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None);
        [Self::Sync(sync), Self::Async(block_on(asynchronous).unwrap())]
    }

    fn call(&self, op: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Sync(host) => host.call(op, b"hello"),
            Self::Async(host) => block_on(host.call(op, b"hello")),
        }
    }

    /// Checks that a loop ends with the text that programs match on, and costs only that instance.
    fn interrupted(&self, within: Duration) {
        let started = Instant::now();
        let error = self.call(LOOP).unwrap_err();
        assert!(started.elapsed() < within, "{:?}", started.elapsed());
        assert_eq!((error.kind(), error.fate()), (ErrorKind::DeadlineExceeded, Fate::Discarded));
        assert_eq!(
            error.to_string(),
            "Guest call failure: guest code interrupted, execution deadline exceeded"
        );
        assert_eq!(self.call("echo").unwrap(), b"hello");
    }
}

/// A caller's engine, and the thread that ticks it.
struct Ticked {
    engine: Engine,
    stop: Arc<AtomicBool>,
}

impl Ticked {
    fn every(tick: Duration) -> Self {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let (engine, stop) = (engine.clone(), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(tick);
                    engine.increment_epoch();
                }
            }
        });
        Self { engine, stop }
    }
}

impl Drop for Ticked {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn epoch_deadlines_count_the_ticks_of_whoever_owns_the_engine() {
    let ticked = Ticked::every(Duration::from_millis(10));
    let deadlines = EpochDeadlines { wapc_init: 100, wapc_func: 20 };
    let builder = WasmtimeEngineProviderBuilder::new()
        .engine(ticked.engine.clone())
        .module_bytes(GUEST.as_bytes())
        .enable_epoch_interruptions(deadlines);
    for host in Host::both(&builder) {
        assert_eq!(host.call("echo").unwrap(), b"hello");
        host.interrupted(Duration::from_secs(5));
    }
}

#[test]
fn ticks_that_pass_in_host_calls_count() {
    /// Calls its host forty times, in less time than the host's deadline.
    const ASKS: &str = r#"(module
        (import "wapc" "__host_call" (func $ask (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "wapc" "__guest_response" (func $response (param i32 i32)))
        (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32)
            (local $n i32)
            (loop $again
                (drop (call $ask (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 40))))
            (call $response (i32.const 0) (i32.const 0))
            (i32.const 1)))"#;

    let slow = || -> Option<Box<antiphon::HostCallback>> {
        Some(Box::new(|_, _, _, _, _| {
            std::thread::sleep(Duration::from_millis(30));
            Ok(Vec::new())
        }))
    };
    let ticked = Ticked::every(Duration::from_millis(5));
    // 30 ticks are far less than the host calls take, and far more than the ticks of one host call.
    let deadlines = EpochDeadlines { wapc_init: 1_000, wapc_func: 30 };
    let ours = WasmtimeEngineProviderBuilder::new().module_bytes(ASKS.as_bytes());
    let theirs =
        WasmtimeEngineProviderBuilder::new().module_bytes(ASKS.as_bytes()).engine(ticked.engine.clone());
    for builder in [ours, theirs] {
        let engine = builder.enable_epoch_interruptions(deadlines).build().unwrap();
        let error = WapcHost::new(Box::new(engine), slow()).unwrap().call("op", b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
}

#[test]
fn ticks_that_pass_in_a_straight_line_of_imports_count() {
    let line = "(call $response (i32.const 0) (i32.const 4194304))".repeat(2000);
    let guest = format!(
        r#"(module
            (import "wapc" "__guest_response" (func $response (param i32 i32)))
            (memory (export "memory") 64)
            (func (export "__guest_call") (param i32 i32) (result i32) {line} (i32.const 1)))"#
    );
    let deadlines = EpochDeadlines { wapc_init: 100, wapc_func: 10 };
    let builder = WasmtimeEngineProviderBuilder::new()
        .module_bytes(guest.as_bytes())
        .enable_epoch_interruptions(deadlines);
    for host in Host::both(&builder) {
        let begin = Instant::now();
        let error = host.call("run").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::DeadlineExceeded, Fate::Discarded));
        assert!(begin.elapsed() >= Duration::from_millis(25), "after {:?}", begin.elapsed());
    }
}

#[test]
fn a_deadline_of_a_call_on_an_engine_that_cannot_keep_it_is_refused() {
    let plain = Engine::new(&Config::new()).unwrap();
    let builder = WasmtimeEngineProviderBuilder::new().engine(plain).module_bytes(GUEST.as_bytes());
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    let request = antiphon::Request::new("echo", b"hi").deadline(Duration::from_millis(50));
    assert_eq!(host.call_with(request).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
}

#[test]
fn a_handler_that_replaces_its_own_host_is_refused_at_once() {
    let slot: Arc<std::sync::OnceLock<WapcHost>> = Arc::default();
    let seen: Arc<std::sync::Mutex<Option<ErrorKind>>> = Arc::default();
    let (inner, kind) = (Arc::clone(&slot), Arc::clone(&seen));
    let callback: Box<antiphon::HostCallback> = Box::new(move |_, _, _, _, _| {
        let error = inner.get().unwrap().replace_module(GUEST.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReplaceFailed);
        let source = std::error::Error::source(&error).unwrap();
        *kind.lock().unwrap() = source.downcast_ref().map(Error::kind);
        Ok(Vec::new())
    });
    let module = std::fs::read("../../guests/built/rust.wasm").unwrap();
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(&module).build().unwrap();
    let host = slot.get_or_init(|| WapcHost::new(Box::new(engine), Some(callback)).unwrap());
    assert_eq!(host.call("host", b"hi").unwrap(), b"");
    assert_eq!(*seen.lock().unwrap(), Some(ErrorKind::Reentrancy));
}

#[test]
fn an_engine_of_the_callers_is_never_ticked_by_us() {
    let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let builder = WasmtimeEngineProviderBuilder::new().engine(engine.clone()).module_bytes(GUEST.as_bytes());
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| host.call_with(antiphon::Request::new(LOOP, b"")).unwrap_err());
        // Long after the deadline of 2 s nothing has ended the guest. When the owner ticks, it ends
        // at once.
        std::thread::sleep(Duration::from_millis(2_300));
        assert!(!looping.is_finished());
        // Ticks more than once, because the call may have begun late.
        while !looping.is_finished() {
            engine.increment_epoch();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(looping.join().unwrap().kind(), ErrorKind::DeadlineExceeded);
    });
}

#[test]
fn without_an_engine_of_the_callers_a_tick_is_ours() {
    let deadlines = EpochDeadlines { wapc_init: 100, wapc_func: 10 };
    let builder = WasmtimeEngineProviderBuilder::new()
        .module_bytes(GUEST.as_bytes())
        .enable_epoch_interruptions(deadlines);
    for host in Host::both(&builder) {
        host.interrupted(Duration::from_secs(2));
    }
}

#[test]
fn a_module_is_compiled_once_and_rehydrated_with_deadlines_of_each() {
    let ticked = Ticked::every(Duration::from_millis(5));
    let module = Module::new(&ticked.engine, GUEST).unwrap();
    let pre = WasmtimeEngineProviderBuilder::new()
        .engine(ticked.engine.clone())
        .module(module)
        .build_pre()
        .unwrap();
    for ticks in [40, 80] {
        let deadlines = EpochDeadlines { wapc_init: 1_000, wapc_func: ticks };
        let engine = pre.rehydrate(Some(deadlines)).unwrap();
        let host = Host::Sync(WapcHost::new(Box::new(engine.clone()), None).unwrap());
        host.interrupted(Duration::from_secs(2));
    }
    assert_eq!(pre.rehydrate(None).unwrap().clone().start_and_call(), b"hello");

    let pre = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).build_async_pre().unwrap();
    let host = block_on(WapcHostAsync::new(Box::new(pre.rehydrate().unwrap()), None)).unwrap();
    assert_eq!(block_on(host.call("echo", b"hi")).unwrap(), b"hi");
}

#[test]
fn the_start_section_of_a_module_that_is_passed_in_is_named_and_data_out_of_bounds_are_none() {
    let ticked = Ticked::every(Duration::from_millis(5));
    let failed = |fields: &str| {
        let module = format!(
            r#"(module (memory (export "memory") 1) {fields}
                (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#
        );
        let builder = WasmtimeEngineProviderBuilder::new()
            .module(Module::new(&ticked.engine, module).unwrap())
            .limits(Limits::new().init_deadline(Duration::from_millis(50)));
        let sync = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap_err();
        let host = WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None);
        [sync, block_on(host).unwrap_err()].map(|error| {
            assert_eq!(error.kind(), ErrorKind::InitFailed);
            error.to_string()
        })
    };
    for error in failed("(start $go) (func $go (loop $again (br $again)))") {
        assert_eq!(
            error,
            "Initialization failed: start section init interrupted, execution deadline exceeded"
        );
    }
    for error in failed("(start $go) (func $go unreachable)") {
        assert!(error.starts_with("Initialization failed: start section: "), "{error}");
    }
    for error in failed(r#"(data (i32.const 65535) "ab")"#) {
        assert!(error.starts_with("Initialization failed: instantiation: "), "{error}");
    }
}

/// Makes one call on a provider in a host.
trait StartAndCall {
    fn start_and_call(self) -> Vec<u8>;
}

impl StartAndCall for antiphon_wasmtime::WasmtimeEngineProvider {
    fn start_and_call(self) -> Vec<u8> {
        WapcHost::new(Box::new(self), None).unwrap().call("echo", b"hello").unwrap()
    }
}

#[test]
fn resource_limits_replace_the_defaults() {
    let pages = |limits: ResourceLimits, op: &str| {
        let builder = WasmtimeEngineProviderBuilder::new()
            .module_bytes(GUEST.as_bytes())
            .enable_resource_limits(limits);
        Host::both(&builder).map(|host| i32::from_le_bytes(host.call(op).unwrap().try_into().unwrap()))
    };
    let memory = |bytes| ResourceLimits { max_memory_size: bytes, max_table_elements: None };
    assert_eq!(pages(memory(Some(4 * 65_536)), GROW), [4, 4]);
    assert_eq!(
        pages(ResourceLimits { max_memory_size: None, max_table_elements: Some(100) }, GROW_TABLE),
        [-1, -1]
    );
    assert_eq!(
        pages(ResourceLimits { max_memory_size: None, max_table_elements: Some(101) }, GROW_TABLE),
        [1, 1]
    );
}

#[test]
fn what_does_not_go_together_is_refused_and_never_ignored() {
    let refused = |builder: WasmtimeEngineProviderBuilder<'_>| Error::from(builder.build().unwrap_err());
    let plain = Engine::new(&Config::new()).unwrap();
    let given = || WasmtimeEngineProviderBuilder::new().engine(plain.clone()).module_bytes(GUEST.as_bytes());

    let nothing = refused(WasmtimeEngineProviderBuilder::new());
    assert_eq!(nothing.kind(), ErrorKind::Unsupported);
    assert_eq!(
        nothing.to_string(),
        "Invalid WasmtimeEngineProviderBuilder configuration: Neither `module_bytes` nor `module` have been provided"
    );
    let module = Module::new(&plain, GUEST).unwrap();
    assert_eq!(refused(given().module(module)).kind(), ErrorKind::Unsupported);
    let explicit = Limits::new().deadline(Duration::from_millis(10));
    assert_eq!(refused(given().limits(explicit)).kind(), ErrorKind::Unsupported);
    let one_of_two = Limits::new().deadline(Duration::MAX).init_deadline(Duration::from_millis(10));
    assert_eq!(refused(given().limits(one_of_two)).kind(), ErrorKind::Unsupported);
    let deadlines = EpochDeadlines { wapc_init: 1, wapc_func: 1 };
    assert_eq!(refused(given().enable_epoch_interruptions(deadlines)).kind(), ErrorKind::Unsupported);

    // Without a deadline of the caller, the default deadline is left out with a warning. A deadline
    // that the host sets is still refused.
    let host = WapcHost::new(Box::new(given().build().unwrap()), None).unwrap();
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
    let host = WapcHost::builder(Box::new(given().build().unwrap())).limits(explicit).build();
    assert_eq!(host.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn what_a_module_needs_at_its_start_is_checked_before_any_of_its_code_runs() {
    let with = |more: &str| GUEST.replacen("(memory ", &format!("{more} (memory "), 1);
    let refused = |text: &str| {
        let error = Error::from(
            WasmtimeEngineProviderBuilder::new().module_bytes(text.as_bytes()).build().unwrap_err(),
        );
        (error.kind(), error.message().to_owned())
    };
    let (kind, message) = refused(&with(&"(table 1 funcref)".repeat(10)));
    assert_eq!(
        (kind, message.as_str()),
        (ErrorKind::InvalidModule, "the module starts with 11 tables, over the limit of 10 (which is fixed)")
    );
    let (kind, message) = refused(&with("(table 20001 funcref)"));
    assert_eq!(kind, ErrorKind::InvalidModule);
    assert_eq!(
        message,
        "the module starts with 20001 elements in a table, over the limit of 20000 (raise it with Limits::table_elements)"
    );
    let (kind, _) = refused(&GUEST.replacen("\"memory\") 1", "\"memory\") 1025", 1));
    assert_eq!(kind, ErrorKind::InvalidModule);
}

#[test]
fn text_is_bounded_before_it_is_parsed_and_its_error_does_not_quote_all_of_it() {
    let refused = |text: String| {
        Error::from(WasmtimeEngineProviderBuilder::new().module_bytes(text.as_bytes()).build().unwrap_err())
    };
    let long = refused(format!("(module {})", "(func)".repeat(200_000)));
    assert_eq!(long.kind(), ErrorKind::InvalidModule);
    assert!(long.message().contains("over the limit of 1048576 bytes"), "{long}");
    let line = refused(format!("(module {} (oops))", " ".repeat(500_000)));
    assert_eq!(line.kind(), ErrorKind::InvalidModule);
    assert!(line.to_string().len() < 2_000, "{} bytes", line.to_string().len());
}

#[test]
fn arguments_that_no_guest_could_hold_are_refused() {
    let module = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
        (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
    let params = antiphon::WasiParams { argv: vec!["a".repeat(2 << 20)], ..Default::default() };
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).wasi_params(params);
    assert_eq!(Error::from(builder.build().unwrap_err()).kind(), ErrorKind::Unsupported);
    let sealed = WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).wasi(false);
    assert_eq!(Error::from(sealed.build().unwrap_err()).kind(), ErrorKind::InvalidModule);
}

#[test]
fn a_guest_without_its_entry_point_is_refused_with_the_text_that_programs_match_on() {
    let builder =
        WasmtimeEngineProviderBuilder::new().module_bytes(br#"(module (memory (export "memory") 1))"#);
    let error = Error::from(builder.build().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::InvalidModule);
    assert_eq!(error.to_string(), "Guest call function (__guest_call) not exported by wasm module.");
}
