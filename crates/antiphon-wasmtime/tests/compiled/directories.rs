//! Real directories for guests, in both modes.

use std::path::Path;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Request, WapcHost, WapcHostAsync, WasiParams};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

/// Opens the file that the payload names in its first directory. `read` answers with the file's
/// content; `write` (five letters) creates the file and writes its name into it. If that is
/// refused, the guest answers with the errno as one byte. It also prints.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 900) "opening\n")
    (func $refused (param $errno i32) (result i32)
        (i32.store8 (i32.const 0) (local.get $errno))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1))
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (local $errno i32)
        (call $request (i32.const 0) (i32.const 64))
        (i32.store (i32.const 1000) (i32.const 900))
        (i32.store (i32.const 1004) (i32.const 8))
        (drop (call $write (i32.const 1) (i32.const 1000) (i32.const 1) (i32.const 1016)))
        (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 64) (local.get $msg)
            (i32.eq (local.get $op) (i32.const 5))
            (select (i64.const 0x40) (i64.const 0x2) (i32.eq (local.get $op) (i32.const 5)))
            (i64.const 0) (i32.const 0) (i32.const 1008)))
        (if (local.get $errno) (then (return (call $refused (local.get $errno)))))
        (i32.store (i32.const 1000) (i32.const 2048))
        (i32.store (i32.const 1004) (i32.const 1024))
        (if (i32.eq (local.get $op) (i32.const 5))
            (then
                (i32.store (i32.const 1000) (i32.const 64))
                (i32.store (i32.const 1004) (local.get $msg))
                (local.set $errno (call $write (i32.load (i32.const 1008)) (i32.const 1000) (i32.const 1) (i32.const 1016))))
            (else
                (local.set $errno (call $read (i32.load (i32.const 1008)) (i32.const 1000) (i32.const 1) (i32.const 1016)))))
        (if (local.get $errno) (then (return (call $refused (local.get $errno)))))
        (call $response (i32.load (i32.const 1000)) (i32.load (i32.const 1016)))
        (i32.const 1)))"#;

fn call_both(builder: &WasmtimeEngineProviderBuilder<'_>, op: &str, file: &str) -> [Vec<u8>; 2] {
    let sync = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    // On a runtime, as programs have it, and without one. Both ways, files are read on threads of
    // tokio.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let host = runtime.block_on(WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None)).unwrap();
    [sync.call(op, file.as_bytes()).unwrap(), runtime.block_on(host.call(op, file.as_bytes())).unwrap()]
}

fn given(directory: &Path) -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).dir(directory, "/data")
}

#[test]
fn a_guest_reads_and_writes_in_a_directory_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.txt"), "from the host").unwrap();
    assert_eq!(call_both(&given(directory.path()), "read", "in.txt"), [b"from the host"; 2]);
    assert_eq!(call_both(&given(directory.path()), "write", "out.txt"), [b"out.txt"; 2]);
    assert_eq!(std::fs::read(directory.path().join("out.txt")).unwrap(), b"out.txt");
}

#[test]
fn the_directories_of_wapc_2_are_granted_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    std::fs::write(directory.path().join("in.txt"), "from the host").unwrap();
    let mapped = WasiParams { map_dirs: vec![("/data".into(), path.clone())], ..WasiParams::default() };
    let preopened = WasiParams { preopened_dirs: vec![path], ..WasiParams::default() };
    for params in [mapped, preopened] {
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).wasi_params(params);
        assert_eq!(call_both(&builder, "read", "in.txt"), [b"from the host"; 2]);
        assert_eq!(call_both(&builder, "write", "out.txt"), [b"out.txt"; 2]);
    }
}

#[test]
fn a_guest_cannot_leave_its_directory_nor_write_where_it_may_only_read() {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("inside");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::fs::write(directory.join("in.txt"), "readable").unwrap();
    for answer in call_both(&given(&directory), "read", "../secret") {
        assert_eq!(answer.len(), 1, "an errno and not the secret: {answer:?}");
    }
    let read_only = WasmtimeEngineProviderBuilder::new()
        .module_bytes(GUEST.as_bytes())
        .read_only_dir(&directory, "/data");
    assert_eq!(call_both(&read_only, "read", "in.txt"), [b"readable"; 2]);
    for answer in call_both(&read_only, "write", "new.txt") {
        assert_eq!(answer.len(), 1, "{answer:?}");
    }
    assert!(!directory.join("new.txt").exists());
}

#[test]
fn what_a_guest_with_directories_prints_goes_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&lines);
    let host = WapcHost::builder(Box::new(given(directory.path()).build().unwrap()))
        .log(move |line| log.lock().unwrap().push(line.text.to_owned()))
        .build()
        .unwrap();
    host.call("read", b"missing").unwrap();
    assert_eq!(*lines.lock().unwrap(), ["opening"]);
}

#[test]
fn a_directory_that_is_not_there_is_refused_when_the_guest_starts() {
    let engine = given(Path::new("/no/such/directory")).build().unwrap();
    let error: Error = WapcHost::new(Box::new(engine), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("/no/such/directory"), "{error}");
}

#[test]
fn a_wild_pointer_after_a_refused_growth_is_named_after_the_limit() {
    // Grows by a page for each byte of its payload, and then points outside its memory.
    const GUEST: &str = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
            (drop (memory.grow (local.get $msg)))
            (call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0))))"#;

    let directory = tempfile::tempdir().unwrap();
    let builder = given(directory.path()).module_bytes(GUEST.as_bytes());
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    assert_eq!(host.call("op", b"a page").unwrap_err().kind(), ErrorKind::Trapped);
    let error = host.call("op", &[0; 2_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryLimit);
    assert!(
        error
            .message()
            .ends_with("after growth to 131137536 bytes of memory was refused by the limit of 67108864 (raise it with Limits::memory)"),
        "{error}"
    );
}

/// Reports an error text, calls its host, and sleeps for ten seconds.
const SLEEPER: &str = r#"(module
    (import "wapc" "__guest_error" (func $error (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "asleep")
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $error (i32.const 0) (i32.const 6))
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (i32.store (i32.const 64) (i32.const 0))
        (i32.store (i32.const 80) (i32.const 1))
        (i64.store (i32.const 88) (i64.const 10000000000))
        (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))
        (i32.const 0)))"#;

#[test]
fn a_guest_with_directories_whose_time_is_over_says_what_it_used_and_was_at() {
    let directory = tempfile::tempdir().unwrap();
    let builder = given(directory.path()).module_bytes(SLEEPER.as_bytes());
    let request = || Request::new("go", b"").deadline(Duration::from_millis(50)).usage(true);
    let check = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:#?}");
        assert_eq!(error.guest_error(), Some("asleep"));
        assert_eq!(error.usage().map(|usage| usage.host_calls), Some(1));
    };
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    check(host.call_with(request()).unwrap_err());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = runtime.block_on(WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None)).unwrap();
    check(runtime.block_on(host.call_with(request())).unwrap_err());
    // On an executor without a runtime.
    check(antiphon::block_on(host.call_with(request())).unwrap_err());
}

#[test]
fn a_runtime_without_timers_is_an_error_and_no_panic_of_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let builder = given(directory.path()).module_bytes(SLEEPER.as_bytes());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let host = runtime.block_on(WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None)).unwrap();
    for _ in 0..2 {
        let error = runtime.block_on(host.call("go", b"")).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::Engine, Fate::Discarded), "{error:#?}");
    }
}
