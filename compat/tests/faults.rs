//! Faults of the incumbent, shown on both sides: what MIGRATING.md lists as fixed must fail there,
//! and work here.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use compat::differs;
use compat::guests::{self, TOOLBOX, echo_with, number};
use tokio::sync::Notify;
use wapc::{HostCallback, HostCallbackAsync, WapcHost, WapcHostAsync};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder};

use crate::hosts::{Host, parrot, runtime};

fn toolbox() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes())
}

fn sync_host(callback: Box<HostCallback>) -> WapcHost {
    WapcHost::new(Box::new(toolbox().build().unwrap()), Some(callback)).unwrap()
}

async fn async_host(callback: Box<HostCallbackAsync>) -> WapcHostAsync {
    WapcHostAsync::new(Box::new(toolbox().build_async().unwrap()), Some(callback)).await.unwrap()
}

/// Returns the outcome of a call; a panic that passed through it counts as an error.
fn outcome(call: impl FnOnce() -> Result<Vec<u8>, String>) -> Result<Vec<u8>, String> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("it panicked".to_owned()))
}

#[test]
fn concurrent_callers_of_one_asynchronous_host() {
    runtime().block_on(async {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let callback: Box<HostCallbackAsync> = Box::new({
            let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
            move |_, _, _, _, _| {
                let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
                Box::pin(async move {
                    entered.notify_one();
                    leave.notified().await;
                    Ok(Vec::new())
                })
            }
        });
        let host = Arc::new(async_host(callback).await);
        let call = |operation: &'static str, payload: &'static [u8]| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { host.call(operation, payload).await.unwrap() })
        };
        // The first caller's guest waits for its host when the second caller arrives.
        let first = call("late", b"of the 1st");
        entered.notified().await;
        let second = call("late", b"of the 2nd");
        tokio::time::sleep(Duration::from_millis(20)).await;
        leave.notify_one();
        let answer = differs! {
            incumbent: &b"of the 2nd"[..],
            antiphon: &b"of the 1st"[..],
            because: "Concurrent calls on one `WapcHostAsync` got each other's answers.",
        };
        assert_eq!(first.await.unwrap(), answer);
        leave.notify_one();
        assert_eq!(second.await.unwrap(), b"of the 2nd");
    });
}

#[test]
fn a_pointer_of_the_guest_outside_its_memory() {
    for host in Host::of(TOOLBOX, None) {
        let error = outcome(|| host.call("wild", b"")).unwrap_err();
        let starts = differs! {
            incumbent: "it panicked",
            antiphon: "Guest call failure: ",
            because: "A pointer of the guest outside its memory panicked the host. It is `Trapped`.",
        };
        assert!(error.starts_with(starts), "{error}");
    }
}

thread_local! {
    static THIS_HOST: RefCell<Option<Rc<WapcHost>>> = const { RefCell::new(None) };
}

#[test]
fn a_handler_that_calls_its_own_host() {
    let host = Rc::new(sync_host(Box::new(|_, _, _, _, _| {
        let host = THIS_HOST.with_borrow(|host| host.clone().unwrap());
        Ok(host.call("echo", b"inner")?)
    })));
    THIS_HOST.set(Some(Rc::clone(&host)));
    let error = outcome(|| host.call("host", b"").map_err(|error| error.to_string())).unwrap_err();
    let starts = differs! {
        incumbent: "it panicked",
        antiphon: "Guest call failure: Guest call failure: ",
        because: "A handler that called its own host hung (async) or panicked (sync). It gets `Reentrancy` at once.",
    };
    assert!(error.starts_with(starts), "{error}");

    runtime().block_on(async {
        let this: Arc<OnceLock<WapcHostAsync>> = Arc::default();
        let inner = Arc::clone(&this);
        let callback: Box<HostCallbackAsync> = Box::new(move |_, _, _, _, _| {
            let host = Arc::clone(&inner);
            Box::pin(async move { Ok(host.get().unwrap().call("echo", b"inner").await?) })
        });
        assert!(this.set(async_host(callback).await).is_ok());
        let call = this.get().unwrap().call("host", b"");
        let hangs = tokio::time::timeout(Duration::from_secs(1), call).await.is_err();
        let expected = differs! {
            incumbent: true,
            antiphon: false,
            because: "A handler that called its own host hung (async) or panicked (sync). It gets `Reentrancy` at once.",
        };
        assert_eq!(hangs, expected);
    });
}

/// Returns the next count after an event: 2 if the instance lived on with its state, and 1 if it
/// was replaced.
fn count_goes_on(because: &str) -> u32 {
    differs! { incumbent: 2, antiphon: 1, because: because }
}

#[test]
fn an_instance_that_trapped() {
    let because =
        "A trapped, timed-out or dropped call left its instance in use. It is rebuilt before the next call.";
    for host in Host::of(TOOLBOX, None) {
        host.call("break", b"").unwrap_err();
        assert_eq!(number(&host.call("count", b"").unwrap()), count_goes_on(because));
    }
}

#[test]
fn a_call_that_is_dropped() {
    runtime().block_on(async {
        let host = async_host(Box::new(|_, _, _, _, _| Box::pin(std::future::pending()))).await;
        let call = host.call("ask", b"");
        assert!(tokio::time::timeout(Duration::from_millis(30), call).await.is_err());
        let because =
            "A trapped, timed-out or dropped call left its instance in use. It is rebuilt before the next call.";
        assert_eq!(number(&host.call("count", b"").await.unwrap()), count_goes_on(because));
    });
}

#[test]
fn a_handler_that_panics() {
    let host = sync_host(Box::new(|_, _, _, _, _| panic!("a panic of the test's")));
    let error = outcome(|| host.call("ask", b"").map_err(|error| error.to_string())).unwrap_err();
    let starts = differs! {
        incumbent: "it panicked",
        antiphon: "Guest call failure: ",
        because: "A panic of a handler went through the engine. It is `HostPanicked`, for that caller alone.",
    };
    assert!(error.starts_with(starts), "{error}");
    if compat::sides::ANTIPHON {
        assert_eq!(number(&host.call("count", b"").unwrap()), 1);
    }
}

#[test]
fn a_start_section_under_epoch_deadlines() {
    let module = echo_with("", "(func $nothing) (start $nothing)");
    let builder = WasmtimeEngineProviderBuilder::new()
        .module_bytes(module.as_bytes())
        .enable_epoch_interruptions(EpochDeadlines { wapc_init: 1_000, wapc_func: 1_000 });
    for host in Host::both(&builder, None) {
        let answer = host.and_then(|host| host.call("op", b"started"));
        let expected = differs! {
            incumbent: None,
            antiphon: Some(b"started".to_vec()),
            because: "Epoch deadlines trapped every guest with a start section, and needed a ticker of yours.",
        };
        assert_eq!(answer.ok(), expected);
    }
}

#[test]
fn deadlines_without_an_engine_of_one_s_own() {
    if compat::sides::ANTIPHON {
        let deadlines = EpochDeadlines { wapc_init: 100, wapc_func: 20 };
        for host in Host::started(&toolbox().enable_epoch_interruptions(deadlines), None) {
            let error = host.call("loop", b"").unwrap_err();
            assert_eq!(error, "Guest call failure: guest code interrupted, execution deadline exceeded");
        }
    }
    // On the incumbent, the guest would loop forever: nothing advances the epochs, and no caller
    // could.
    compat::sides::assert_on_record("Without an engine of your own there is none to write.");
}

#[test]
fn a_replacement_that_fails_in_its_start() {
    let broken = echo_with("", r#"(func (export "wapc_init") (unreachable))"#);
    for host in Host::of(TOOLBOX, None) {
        host.call("count", b"").unwrap();
        let error = host.replace(broken.as_bytes()).unwrap_err();
        assert!(error.starts_with("Module replacement failed: Initialization failed: "), "{error}");
        // The broken module echoes; the old one answers with a number.
        let expected = differs! {
            incumbent: b"1234".to_vec(),
            antiphon: 2_u32.to_le_bytes().to_vec(),
            because: "`replace_module` kept the old memory, and a failure left half of each module.",
        };
        assert_eq!(host.call("count", b"1234").unwrap(), expected);
    }
}

#[test]
fn reactors_and_plain_assemblyscript() {
    let because = "Reactors of TinyGo and Go, and AssemblyScript without a custom abort, failed. They run.";
    let reactor = echo_with(
        "",
        r#"(global $ready (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $ready (i32.const 1)))
        (func (export "wapc_init") (if (i32.eqz (global.get $ready)) (then (unreachable))))"#,
    );
    let assemblyscript = guests::built("assemblyscript-env-abort.wasm");
    for module in [reactor.into_bytes(), assemblyscript] {
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(&module);
        for host in Host::both(&builder, None) {
            let answer = host.and_then(|host| host.call("echo", b"runs")).ok();
            let expected = differs! { incumbent: None, antiphon: Some(b"runs".to_vec()), because: because };
            assert_eq!(answer, expected);
        }
    }
}

#[test]
fn an_operation_of_a_host_call_that_is_not_utf_8() {
    for host in Host::of(TOOLBOX, Some(parrot)) {
        let error = host.call("utf8", b"").unwrap_err();
        assert!(error.starts_with("Guest call failure: "), "{error}");
        // A trap names the guest's frames; an error that the guest read and reported does not.
        let trapped = differs! {
            incumbent: true,
            antiphon: false,
            because: "a binding, namespace or operation that is not UTF-8 fails that host call and no longer traps",
        };
        assert_eq!(error.contains("wasm"), trapped, "{error}");
    }
}

#[test]
fn host_calls_of_a_guest_that_is_starting() {
    let calls = echo_with(
        r#"(import "wapc" "__host_call" (func $ask (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func (export "wapc_init")
            (if (i32.eqz (call $ask (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                (then (unreachable))))"#,
    );
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(calls.as_bytes());
    for host in Host::both(&builder, Some(parrot)) {
        let answered = differs! {
            incumbent: true,
            antiphon: false,
            because: "host calls of a guest that is still starting are refused",
        };
        assert_eq!(host.is_ok(), answered);
    }
}

#[test]
fn the_texts_of_traps() {
    for host in Host::of(TOOLBOX, None) {
        let error = host.call("break", b"").unwrap_err().to_string();
        let starts = differs! {
            incumbent: "Guest call failure: error while executing at wasm backtrace:",
            antiphon: "Guest call failure: wasm trap: wasm `unreachable` instruction executed",
            because: "a trap: `Guest call failure: error while executing at wasm backtrace: ...`, with all frames",
        };
        assert!(error.starts_with(starts), "{error}");
    }
    let broken = echo_with("", r#"(func (export "wapc_init") (unreachable))"#);
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(broken.as_bytes()).build().unwrap();
    let error = WapcHost::new(Box::new(engine), None).unwrap_err().to_string();
    let contains = differs! {
        incumbent: "error while executing at wasm backtrace:",
        antiphon: "Initialization failed: wapc_init: wasm trap: wasm `unreachable` instruction executed",
        because: "`Initialization failed: {function}: wasm trap: ...`",
    };
    assert!(error.starts_with("Initialization failed: ") && error.contains(contains), "{error}");
}

#[test]
fn a_wapc_init_that_exits_with_0() {
    let exits = echo_with(
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
        r#"(func (export "wapc_init") (call $exit (i32.const 0)))"#,
    );
    let engine = WasmtimeEngineProviderBuilder::new()
        .module_bytes(exits.as_bytes())
        .wasi_params(wapc::WasiParams::default())
        .build()
        .unwrap();
    let host = WapcHost::new(Box::new(engine), None).unwrap();
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
}
