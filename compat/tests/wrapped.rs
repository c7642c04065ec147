//! Third-party providers around Wasmtime's, and hosts that call each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use compat::guests::{TOOLBOX, number};
use wapc::{
    HostCallback, HostCallbackAsync, ModuleState, ModuleStateAsync, WapcHost, WapcHostAsync,
    WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync,
};
use wasmtime_provider::{WasmtimeEngineProvider, WasmtimeEngineProviderAsync, WasmtimeEngineProviderBuilder};

use crate::hosts::{BoxError, parrot, runtime};

fn toolbox() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes())
}

/// Counts the calls that reach the engine.
struct Counting<E>(E, Arc<AtomicU32>);

impl WebAssemblyEngineProvider for Counting<WasmtimeEngineProvider> {
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), BoxError> {
        self.0.init(host)
    }

    fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.call(op_length, msg_length)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.0.replace(bytes)
    }
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for Counting<WasmtimeEngineProviderAsync> {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.0.init(host).await
    }

    async fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.call(op_length, msg_length).await
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.0.replace(bytes).await
    }
}

#[test]
fn a_provider_around_wasmtime_s_sees_every_call() {
    let calls = Arc::new(AtomicU32::new(0));
    let engine = Counting(toolbox().build().unwrap(), Arc::clone(&calls));
    let host = WapcHost::new(Box::new(engine), Some(Box::new(parrot))).unwrap();
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
    assert_eq!(host.call("host", b"hi").unwrap(), b"binding/sample/host:hi");
    assert_eq!(host.call("host", b"no").unwrap_err().to_string(), "Guest call failure: not today");
    host.call("break", b"").unwrap_err();
    assert_eq!(host.call("echo", b"alive").unwrap(), b"alive");
    host.replace_module(compat::guests::echo_with("", "").as_bytes()).unwrap();
    assert_eq!(host.call("fail", b"an echo now").unwrap(), b"an echo now");
    assert_eq!(calls.load(Ordering::Relaxed), 6);
}

#[test]
fn an_asynchronous_provider_around_wasmtime_s_sees_every_call() {
    let calls = Arc::new(AtomicU32::new(0));
    let engine = Counting(toolbox().build_async().unwrap(), Arc::clone(&calls));
    let callback: Box<HostCallbackAsync> =
        Box::new(|id, bd, ns, op, payload| Box::pin(async move { parrot(id, &bd, &ns, &op, &payload) }));
    runtime().block_on(async {
        let host = WapcHostAsync::new(Box::new(engine), Some(callback)).await.unwrap();
        assert_eq!(host.call("echo", b"hi").await.unwrap(), b"hi");
        assert_eq!(host.call("host", b"hi").await.unwrap(), b"binding/sample/host:hi");
        host.call("break", b"").await.unwrap_err();
        host.replace_module(compat::guests::echo_with("", "").as_bytes()).await.unwrap();
        assert_eq!(host.call("fail", b"an echo now").await.unwrap(), b"an echo now");
    });
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[test]
fn a_provider_without_a_host() {
    // A program that only checks whether a module starts does not need a host.
    let state = Arc::new(ModuleState::default());
    let mut engine = toolbox().build().unwrap();
    engine.init(Arc::clone(&state)).unwrap();
    assert_eq!(engine.call(0, 0).unwrap(), 0, "there is no request: the guest knows no such operation");
    let broken = compat::guests::echo_with("", r#"(func (export "wapc_init") (unreachable))"#);
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(broken.as_bytes());
    let error = builder.build().unwrap().init(state).unwrap_err();
    assert!(error.to_string().starts_with("Initialization failed: "), "{error}");
}

#[test]
fn a_callback_calls_another_host() {
    let callback: Box<HostCallback> = Box::new(|_, _, _, operation, payload| {
        let inner = WapcHost::new(Box::new(toolbox().build()?), Some(Box::new(parrot)))?;
        Ok(inner.call(operation, payload)?)
    });
    let outer = WapcHost::new(Box::new(toolbox().build().unwrap()), Some(callback)).unwrap();
    assert_eq!(outer.call("host", b"hi").unwrap(), b"binding/sample/host:hi");
    let refused = outer.call("host", b"no").unwrap_err().to_string();
    assert_eq!(refused, "Guest call failure: Guest call failure: not today");

    runtime().block_on(async {
        let inner = WapcHostAsync::new(Box::new(toolbox().build_async().unwrap()), None).await.unwrap();
        let inner = Arc::new(inner);
        let callback: Box<HostCallbackAsync> = Box::new(move |_, _, _, _, _| {
            let inner = Arc::clone(&inner);
            Box::pin(async move { Ok(inner.call("count", b"").await?) })
        });
        let outer = WapcHostAsync::new(Box::new(toolbox().build_async().unwrap()), Some(callback)).await;
        let outer = outer.unwrap();
        for count in 1..3 {
            assert_eq!(number(&outer.call("host", b"").await.unwrap()), count);
        }
    });
}
