//! Guests that import WASI, with what `WasiParams` gives them.

use compat::differs;
use wapc::WasiParams;
use wasmtime_provider::WasmtimeEngineProviderBuilder;

use crate::hosts::Host;
use crate::logs::lines_with;

/// `args` and `environ` answer what the guest received; `read` answers the file of the payload's
/// name in its first directory; `say` writes the payload to standard output.
const GUEST: &str = r#"(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_error" (func $fail (param i32 i32)))
  (import "WASI" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "WASI" "args_get" (func $args (param i32 i32) (result i32)))
  (import "WASI" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "WASI" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "WASI" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "WASI" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "WASI" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "WASI" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 32) "no such file")
  (func $checked (param $errno i32) (if (local.get $errno) (then (unreachable))))
  (func (export "_start") (call $exit (i32.const EXIT)))
  (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
    (local $verb i32)
    (call $request (i32.const 1024) (i32.const 4096))
    (local.set $verb (i32.load8_u (i32.const 1024)))
    (if (i32.eq (local.get $verb) (i32.const 97 (;a;))) (then
      (call $checked (call $args_sizes (i32.const 0) (i32.const 4)))
      (call $checked (call $args (i32.const 256) (i32.const 8192)))
      (call $respond (i32.const 8192) (i32.load (i32.const 4)))
      (return (i32.const 1))))
    (if (i32.eq (local.get $verb) (i32.const 101 (;e;))) (then
      (call $checked (call $environ_sizes (i32.const 0) (i32.const 4)))
      (call $checked (call $environ (i32.const 256) (i32.const 8192)))
      (call $respond (i32.const 8192) (i32.load (i32.const 4)))
      (return (i32.const 1))))
    (if (i32.eq (local.get $verb) (i32.const 114 (;r;))) (then
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 4096) (local.get $msg) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))
        (then
          (call $fail (i32.const 32) (i32.const 12))
          (return (i32.const 0))))
      (i32.store (i32.const 16) (i32.const 8192))
      (i32.store (i32.const 20) (i32.const 4096))
      (call $checked (call $read (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 24)))
      (call $respond (i32.const 8192) (i32.load (i32.const 24)))
      (return (i32.const 1))))
    (i32.store8 (i32.add (i32.const 4096) (local.get $msg)) (i32.const 10))
    (i32.store (i32.const 16) (i32.const 4096))
    (i32.store (i32.const 20) (i32.add (local.get $msg) (i32.const 1)))
    (call $checked (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
    (call $respond (i32.const 24) (i32.const 4))
    (i32.const 1)))"#;

/// Returns the guest under one of WASI's module names; its `_start` exits with this code.
fn guest(wasi: &str, exit: &str) -> String {
    GUEST.replace("WASI", wasi).replace("EXIT", exit)
}

const NAMES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn arguments_and_environment_are_those_given() {
    for name in NAMES {
        let module = guest(name, "0");
        let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes());
        for host in Host::started(&builder(), None) {
            assert_eq!(host.call("args", b"").unwrap(), b"");
            assert_eq!(host.call("environ", b"").unwrap(), b"");
            assert_eq!(host.call("read", b"/etc/passwd").unwrap_err(), "Guest call failure: no such file");
        }
        let pairs = vec![("KEY".to_owned(), "value".to_owned()), ("EMPTY".to_owned(), String::new())];
        let params = WasiParams::new(strings(&["guest", "--flag", ""]), vec![], pairs, vec![]);
        for host in Host::started(&builder().wasi_params(params), None) {
            assert_eq!(host.call("args", b"").unwrap(), b"guest\0--flag\0\0");
            assert_eq!(host.call("environ", b"").unwrap(), b"KEY=value\0EMPTY=\0");
        }
    }
}

#[test]
fn directories_are_mapped_to_a_name_or_keep_their_own() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("policy.json"), "{}").unwrap();
    std::fs::write(directory.path().join("empty"), "").unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let mapped = WasiParams { map_dirs: vec![("/data".to_owned(), path.clone())], ..Default::default() };
    let preopened = WasiParams { preopened_dirs: vec![path], ..Default::default() };
    for (name, params) in
        NAMES.into_iter().flat_map(|name| [(name, mapped.clone()), (name, preopened.clone())])
    {
        let module = guest(name, "0");
        let builder =
            WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).wasi_params(params);
        for host in Host::started(&builder, None) {
            assert_eq!(host.call("read", b"policy.json").unwrap(), b"{}");
            assert_eq!(host.call("read", b"empty").unwrap(), b"");
            let outside = host.call("read", b"../policy.json").unwrap_err();
            assert_eq!(outside, "Guest call failure: no such file");
        }
    }
}

#[test]
fn a_directory_that_is_not_there_is_an_error_of_the_set_up() {
    let module = guest(NAMES[0], "0");
    let params = WasiParams { preopened_dirs: strings(&["/no/such/directory"]), ..Default::default() };
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).wasi_params(params);
    let build_refuses = differs! {
        incumbent: true,
        antiphon: false,
        because: "A directory that cannot be opened: from the host, `Unsupported`.",
    };
    assert_eq!((builder.build().is_err(), builder.build_async().is_err()), (build_refuses, build_refuses));
    Host::refused(&builder);
}

#[test]
fn an_exit_in_the_start_with_code_0_is_success_and_with_another_a_failure() {
    for name in NAMES {
        for host in Host::of(guest(name, "0"), None) {
            assert_eq!(host.call("args", b"").unwrap(), b"");
        }
        let module = guest(name, "3");
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes());
        for text in Host::refused(&builder) {
            assert!(text.starts_with("Initialization failed: "), "{text}");
        }
    }
}

#[test]
fn what_the_guest_prints() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let worlds = [WasiParams::default(), WasiParams { preopened_dirs: vec![path], ..Default::default() }];
    for (world, params) in worlds.into_iter().enumerate() {
        let module = guest(NAMES[0], "0");
        let builder =
            WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes()).wasi_params(params);
        for (host, mode) in Host::started(&builder, None).into_iter().zip(["sync", "async"]) {
            let text = format!("printed in world {world}, {mode}");
            let lines = lines_with(&text, || {
                let written = u32::try_from(text.len() + 1).unwrap();
                assert_eq!(host.call("say", text.as_bytes()).unwrap(), written.to_le_bytes());
            });
            let logged = differs! {
                incumbent: 0,
                antiphon: 1,
                because: "the guest's standard output and error go to the log; standard input is empty",
            };
            assert_eq!(lines.len(), logged, "{lines:?}");
        }
    }
}
