//! MIGRATING.md's code from after the migration.

use std::time::Duration;

use compat::guests::TOOLBOX;
use wapc::errors::ErrorKind;
use wapc::{Context, Limits, Request, WapcHost, WebAssemblyEngineProvider};
use wasmtime_provider::{WasmtimeEngineProvider, WasmtimeEngineProviderBuilder};

fn boxed(provider: WasmtimeEngineProvider) -> WapcHost {
    let engine: Box<dyn WebAssemblyEngineProvider + Send> = Box::new(provider);
    WapcHost::new(engine, None).unwrap()
}

#[rustfmt::skip]
fn told(host: &WapcHost, payload: &[u8]) -> String {
    let serve = |answer: Vec<u8>| format!("served {}", answer.len());
    let retry = || "retried".to_owned();
    let report = |text: &str| format!("reported {text}");
    match host.call("op", payload) {
        Ok(answer) => serve(answer),
        Err(error) if error.is_deadline() => retry(),
        Err(error) if error.kind() == ErrorKind::GuestFailed => report(error.guest_error().unwrap_or_default()),
        Err(error) => report(&error.to_string()),
    }
}

fn switched(bytes: Vec<u8>) -> Result<WapcHost, wapc::errors::Error> {
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(&bytes).build()?;
    let host = WapcHost::builder(Box::new(engine))
        .limits(Limits::new().memory(256 << 20).deadline(Duration::from_secs(30)))
        .host_calls_in_init(true)
        .build()?;
    Ok(host)
}

/// Holds for the whole process, so it is only compiled here. A test of `antiphon-host` runs it.
#[expect(dead_code, reason = "see above")]
fn raised() -> Result<(), wapc::errors::Error> {
    wapc::set_default_limits(Limits::new().host_calls(100_000).host_payload(64 << 20).memory(256 << 20))?;
    Ok(())
}

#[test]
fn it_compiles_and_runs() {
    compat::migration::assert_compiled("after", include_str!("code.rs"));
    let fails = TOOLBOX.replace("(i32.const 102 (;f;))", "(i32.const 111 (;o;))");
    let provider = WasmtimeEngineProviderBuilder::new().module_bytes(fails.as_bytes()).build().unwrap();
    assert_eq!(told(&boxed(provider), b"no tea"), "reported no tea");
    assert_eq!(switched(TOOLBOX.into()).unwrap().call("echo", b"hi").unwrap(), b"hi");
}

#[test]
fn what_is_there_once_it_runs() {
    let factory = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).factory().unwrap();
    struct WhoseCall;
    impl wapc::HostHandler for WhoseCall {
        fn handle(&self, call: wapc::HostCall<'_>) -> Result<wapc::Bytes, wapc::HostCallError> {
            let user = call.context().get::<String>().ok_or("nobody's call")?;
            Ok(user.clone().into())
        }
    }
    let host = WapcHost::builder(factory.provider().unwrap()).handler(WhoseCall).build().unwrap();
    let request = Request::new("host", b"").context(Context::new().with("ann".to_owned()));
    assert_eq!(host.call_with(request.deadline(Duration::from_secs(5))).unwrap().payload, b"ann");
    assert_eq!(host.call("host", b"").unwrap_err().guest_error(), Some("nobody's call"));
    let mut answer = Vec::new();
    assert_eq!(host.call_into("echo", b"four", &mut answer).unwrap(), 4);
    assert_eq!(host.call_ref(Request::new("echo", b"four"), <[u8]>::to_vec).unwrap(), answer);
}
