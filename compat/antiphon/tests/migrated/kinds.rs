//! Where the variants of the old errors are now, and which texts stay.

use std::error::Error as _;
use std::time::Duration;

use compat::guests::{TOOLBOX, echo_with};
use wapc::errors::{Error, ErrorKind};
use wapc::{Limits, Request, WapcHost, WasiParams};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder, wasmtime};

use crate::{host_of, limited};

fn refused_by_build(module: &str) -> Error {
    let error = WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).build().unwrap_err();
    assert!(matches!(error, wasmtime_provider::errors::Error::Refused(_)), "{error:?}");
    error.into()
}

#[test]
fn guest_call_failure() {
    let host = limited(Limits::new().deadline(Duration::from_millis(50)));
    let fails = |operation: &str, payload: &[u8], kind: ErrorKind, text: &str| {
        let error = host.call(operation, payload).unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains(text)), (kind, true), "{error}");
        error
    };
    fails("fail", b"text", ErrorKind::GuestFailed, "Guest call failure: text");
    fails("none", b"", ErrorKind::GuestMisbehaved, "Guest call failure: No error message OR response set");
    fails("wild", b"", ErrorKind::Trapped, "Guest call failure: ");
    fails("break", b"", ErrorKind::Trapped, "Guest call failure: ");
    let text = "Guest call failure: guest code interrupted, execution deadline exceeded";
    assert!(fails("loop", b"", ErrorKind::DeadlineExceeded, text).is_deadline());
    fails("echo", &[0; 5 << 20], ErrorKind::TooLarge, "Guest call failure: ");
    fails("host", b"", ErrorKind::GuestFailed, "Guest call failure: Missing host callback function!");

    let cancel = wapc::CancelHandle::new();
    cancel.cancel();
    let error = host.call_with(Request::new("echo", b"").cancel(cancel)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);

    let recursion = echo_with("", r#"(func $deeper (export "deeper") (call $deeper))"#)
        .replace("(call $request ", "(call $deeper) (call $request ");
    assert_eq!(
        host_of(&recursion).build().unwrap().call("op", b"").unwrap_err().kind(),
        ErrorKind::StackOverflow
    );
}

#[test]
fn init_failed() {
    let broken = echo_with("", r#"(func (export "wapc_init") (unreachable))"#);
    let error = host_of(&broken).build().unwrap_err();
    assert_eq!((error.kind(), error.is_deadline()), (ErrorKind::InitFailed, false));
    assert!(error.to_string().starts_with("Initialization failed: wapc_init"), "{error}");

    let looping = echo_with("", r#"(func (export "wapc_init") (loop $again (br $again)))"#);
    let limits = Limits::new().init_deadline(Duration::from_millis(50));
    let by_time = host_of(&looping).limits(limits).build().unwrap_err();
    let engine = WasmtimeEngineProviderBuilder::new()
        .module_bytes(looping.as_bytes())
        .enable_epoch_interruptions(EpochDeadlines { wapc_init: 10, wapc_func: 10 })
        .build()
        .unwrap();
    let by_ticks = WapcHost::new(Box::new(engine), None).unwrap_err();
    for error in [by_time, by_ticks] {
        assert_eq!((error.kind(), error.is_deadline()), (ErrorKind::InitFailed, true));
        assert_eq!(
            error.to_string(),
            "Initialization failed: wapc_init init interrupted, execution deadline exceeded"
        );
    }
}

#[test]
fn no_such_function_guest_call_not_found_linker_func_def() {
    let error = refused_by_build(r#"(module (import "env" "sin" (func (param f64) (result f64))))"#);
    assert_eq!(error.kind(), ErrorKind::InvalidModule);
    let text = error.to_string();
    let missing = ["env.sin", "memory", "Guest call function (__guest_call) not exported by wasm module."];
    assert!(missing.iter().all(|what| text.contains(what)) && text.contains("; "), "{text}");
    let mistyped = echo_with(r#"(import "wapc" "__host_response_len" (func))"#, "");
    let error = refused_by_build(&mistyped);
    assert_eq!(error.kind(), ErrorKind::InvalidModule);
    assert!(error.to_string().contains("wapc.__host_response_len"), "{error}");
}

#[test]
fn replacement_failed_and_io() {
    let error = limited(Limits::new()).replace_module(b"garbage").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReplaceFailed);
    assert!(error.to_string().starts_with("Module replacement failed: "), "{error}");
    assert_eq!(error.source().unwrap().downcast_ref::<Error>().unwrap().kind(), ErrorKind::InvalidModule);

    let error = Error::from(std::io::Error::other("disk full"));
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Engine, "I/O Error: disk full"));
}

#[test]
fn provider_failure_and_the_provider_s_own_error() {
    use wasmtime_provider::errors::Error as Provider;

    let nothing = WasmtimeEngineProviderBuilder::new().build().unwrap_err();
    assert!(matches!(nothing, Provider::BuilderInvalidConfig(_)));
    assert_eq!(Error::from(nothing).kind(), ErrorKind::Unsupported);
    assert_eq!(refused_by_build("(module (oops))").kind(), ErrorKind::InvalidModule);
    let engine = Provider::from(wasmtime::Error::msg("no engine"));
    assert!(matches!(engine, Provider::Wasmtime(_)));
    assert_eq!(Error::from(engine).kind(), ErrorKind::Engine);
}

#[test]
fn wasi_init_ctx_error() {
    let module = echo_with(r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))"#, "");
    let with =
        |params| WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).wasi_params(params);
    let nul = WasiParams { argv: vec!["a\0b".to_owned()], ..Default::default() };
    assert_eq!(Error::from(with(nul).build().unwrap_err()).kind(), ErrorKind::Unsupported);
    let absent = WasiParams { preopened_dirs: vec!["/no/such/directory".to_owned()], ..Default::default() };
    let error = WapcHost::new(Box::new(with(absent).build().unwrap()), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_panic_of_a_handler_is_for_its_caller_alone() {
    let callback: Box<wapc::HostCallback> = Box::new(|_, _, _, _, _| panic!("a panic of the test's"));
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).build().unwrap();
    let host = WapcHost::new(Box::new(engine), Some(callback)).unwrap();
    assert_eq!(host.call("ask", b"").unwrap_err().kind(), ErrorKind::HostPanicked);
    assert_eq!(host.call("count", b"").unwrap(), 1_u32.to_le_bytes(), "of a new instance");
}
