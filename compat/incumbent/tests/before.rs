//! MIGRATING.md's code from before the migration, against the crates that it was written for.

use compat::guests::TOOLBOX;
use wapc::errors::Error;
use wapc::{WapcHost, WebAssemblyEngineProvider};
use wasmtime_provider::{WasmtimeEngineProvider, WasmtimeEngineProviderBuilder};

fn boxed(provider: WasmtimeEngineProvider) -> WapcHost {
    let engine: Box<dyn WebAssemblyEngineProvider> = Box::new(provider);
    WapcHost::new(engine, None).unwrap()
}

fn told(host: &WapcHost, payload: &[u8]) -> String {
    let serve = |answer: Vec<u8>| format!("served {}", answer.len());
    let retry = || "retried".to_owned();
    let report = |text: &str| format!("reported {text}");
    match host.call("op", payload) {
        Ok(answer) => serve(answer),
        Err(Error::GuestCallFailure(text)) if text.contains("deadline exceeded") => retry(),
        Err(Error::GuestCallFailure(text)) => report(&text),
        Err(error) => report(&error.to_string()),
    }
}

#[test]
fn it_compiles_and_runs() {
    compat::migration::assert_compiled("before", include_str!("before.rs"));
    let fails = TOOLBOX.replace("(i32.const 102 (;f;))", "(i32.const 111 (;o;))");
    let provider = WasmtimeEngineProviderBuilder::new().module_bytes(fails.as_bytes()).build().unwrap();
    assert_eq!(told(&boxed(provider), b"no tea"), "reported no tea");
}
