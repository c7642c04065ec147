//! Guests on threads with little stack. An overflow of the native stack would end the process, and
//! no guest may cause one.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::{
    Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, Limits, WapcHost, WapcHostAsync,
};
use antiphon_wasmtime::{WasmtimeEngineProvider, WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre};

/// `relay` (five letters) answers what the host answers; `dive` (four letters) recurses without
/// end.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__guest_error" (func $error (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wapc" "__host_response_len" (func $response_len (result i32)))
    (import "wapc" "__host_response" (func $host_response (param i32)))
    (import "wapc" "__host_error_len" (func $error_len (result i32)))
    (import "wapc" "__host_error" (func $host_error (param i32)))
    (memory (export "memory") 1)
    (func $dive (param i32) (result i32) (i32.add (i32.const 1) (call $dive (local.get 0))))
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (if (i32.eq (local.get $op) (i32.const 4)) (then (return (call $dive (local.get $msg)))))
        (if (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                             (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
            (then
                (call $host_response (i32.const 0))
                (call $response (i32.const 0) (call $response_len))
                (return (i32.const 1))))
        (call $host_error (i32.const 0))
        (call $error (i32.const 0) (call $error_len))
        (i32.const 0)))"#;

fn engine() -> WasmtimeEngineProvider {
    static COMPILED: OnceLock<WasmtimeEngineProviderPre> = OnceLock::new();
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    COMPILED.get_or_init(|| builder().build_pre().unwrap()).rehydrate(None).unwrap()
}

/// Answers with the answer of another host. The last handler of the chain has no other host.
struct Next(Option<Arc<WapcHost>>);

impl HostHandler for Next {
    fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let Some(host) = &self.0 else { return Ok("the last".into()) };
        let answer = host.call("relay", b"");
        // At every level the guest overflows too, on whatever stack is left there.
        let error = host.call("dive", b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StackOverflow, "{error:#?}");
        Ok(answer?.into())
    }
}

#[async_trait::async_trait]
impl HostHandlerAsync for Next {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        HostHandler::handle(self, call)
    }
}

/// Returns a long deadline, because hundreds of overflows take time.
fn patient() -> Limits {
    Limits::new().deadline(Duration::from_secs(100))
}

/// Makes hosts whose handlers call one another, `depth` levels deep.
fn chain(depth: usize) -> Arc<WapcHost> {
    let mut next = Next(None);
    for _ in 0..depth {
        let host = WapcHost::builder(Box::new(engine())).limits(patient()).handler(next);
        next = Next(Some(Arc::new(host.build().unwrap())));
    }
    next.0.unwrap()
}

fn on_a_thread_of(stack: usize, run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_guest_may_overflow_its_stack_on_a_thread_that_has_less() {
    on_a_thread_of(192 << 10, || {
        let host = WapcHost::new(Box::new(engine()), None).unwrap();
        for _ in 0..3 {
            let error = host.call("dive", b"").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StackOverflow, "{error:#?}");
        }
        assert_eq!(host.call("relay", b"").unwrap_err().kind(), ErrorKind::GuestFailed);
    });
}

#[test]
fn hundreds_of_hosts_that_call_one_another_fit_onto_any_thread() {
    for stack in [512 << 10, 2 << 20] {
        on_a_thread_of(stack, || assert_eq!(chain(300).call("relay", b"").unwrap(), b"the last"));
    }
}

#[test]
fn synchronous_hosts_fit_onto_the_stack_of_an_asynchronous_guest() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let host = thread::spawn(move || {
        let provider =
            WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).build_async().unwrap();
        let builder = WapcHostAsync::builder(Box::new(provider)).limits(patient());
        let host = builder.handler(Next(Some(chain(300))));
        runtime().block_on(async {
            let host = host.build().await.unwrap();
            assert_eq!(host.call("relay", b"").await.unwrap(), b"the last");
            host
        })
    });
    let host = host.join().unwrap();
    // On a thread whose stack lies at an address on the other side of the guest's stack.
    let threads: Vec<_> =
        (0..8).map(|_| thread::Builder::new().stack_size(2 << 20).spawn(thread::park).unwrap()).collect();
    on_a_thread_of(2 << 20, move || {
        assert_eq!(runtime().block_on(host.call("relay", b"")).unwrap(), b"the last");
    });
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

/// Never answers, and calls a host when its future is dropped.
struct Parting(Arc<WapcHost>);

struct OnDrop(Arc<WapcHost>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        assert_eq!(self.0.call("relay", b"").unwrap(), b"the last");
    }
}

#[async_trait::async_trait]
impl HostHandlerAsync for Parting {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        if call.context().get::<()>().is_some() {
            return Ok(Bytes::new());
        }
        let _parting = OnDrop(Arc::clone(&self.0));
        std::future::pending().await
    }
}

#[test]
fn what_is_dropped_with_a_call_fits_onto_the_stack_of_its_guest() {
    let chain = chain(300);
    // The guest's stack is made here and kept for the next call.
    let host = thread::spawn(move || {
        let provider = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
        let provider = provider.cooperative(false).build_async().unwrap();
        let builder = WapcHostAsync::builder(Box::new(provider)).limits(patient());
        let host = antiphon::block_on(builder.handler(Parting(chain)).build()).unwrap();
        let mut context = antiphon::Context::new();
        context.insert(());
        antiphon::block_on(host.call_with(antiphon::Request::new("relay", b"").context(context))).unwrap();
        host
    });
    let host = host.join().unwrap();
    // A thread whose stack lies at an address on the other side of the guest's stack.
    let threads: Vec<_> =
        (0..8).map(|_| thread::Builder::new().stack_size(2 << 20).spawn(thread::park).unwrap()).collect();
    on_a_thread_of(2 << 20, move || {
        let mut call = Box::pin(host.call("relay", b""));
        assert!(pin!(&mut call).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(call);
    });
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}
