//! Crates that were written for `wapc`, unedited, on Antiphon: `[patch]` puts the shims in the place
//! of the crates that they name.

use std::time::Duration;

use wapc::WapcHost;
use wapc::errors::{Error, ErrorKind};
use wapc_pool::HostPoolBuilder;
use wasmtime_provider::WasmtimeEngineProviderBuilder;

/// Answers its payload.
const ECHO: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $respond (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param i32) (param $size i32) (result i32)
        (call $request (i32.const 0) (i32.const 1024))
        (call $respond (i32.const 1024) (local.get $size))
        (i32.const 1)))"#;

fn host() -> WapcHost {
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(ECHO.as_bytes()).build().unwrap();
    WapcHost::new(Box::new(engine), None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn wapc_pool_runs_the_hosts_of_antiphon() {
    let pool = HostPoolBuilder::new()
        .name("ported")
        .factory(host)
        .min_threads(2)
        .max_threads(2)
        .max_wait(Duration::from_secs(10))
        .build();
    for payload in [b"one".to_vec(), b"two".to_vec(), Vec::new()] {
        assert_eq!(pool.call("echo", payload.clone()).await.unwrap(), payload);
    }
    // Its errors are the variants of wapc 1.x.
    let error: Error = wapc_pool::errors::Error::NoPool.into();
    assert_eq!(error.kind(), ErrorKind::Engine);
    assert_eq!(
        error.to_string(),
        "General: No pool available. Have you initialized the HostPool or already shut it down?"
    );
}

#[test]
fn the_names_are_those_of_antiphon() {
    // An accessor that wapc 2.2 has not.
    assert_eq!(host().call_with(wapc::Request::new("echo", b"new")).unwrap().payload, b"new");
    assert!(std::any::type_name::<WapcHost>().starts_with("antiphon::"));
}
