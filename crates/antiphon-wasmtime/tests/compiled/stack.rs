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

/// Ways to a deeper stack.
fn deeper(mebibytes: u64) -> [WasmtimeEngineProviderBuilder<'static>; 2] {
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    let configured = match mebibytes {
        2 => builder().configure(|config| {
            config.max_wasm_stack(2 << 20);
        }),
        _ => builder().configure(|config| {
            config.max_wasm_stack(8 << 20);
        }),
    };
    [configured, builder().limits(Limits::new().stack(mebibytes << 20))]
}

#[test]
fn a_deeper_stack_ends_where_its_limit_is_on_threads_of_any_size() {
    for mebibytes in [2, 8] {
        for builder in deeper(mebibytes) {
            let compiled = builder.build_pre().unwrap();
            // The sizes around that of a guest, where the thread seems to have room, and does not.
            for stack in [256, 1126, 1331, 1638, 2200, 2700, 9_000, 20_000].map(|kibibytes| kibibytes << 10) {
                let provider = compiled.rehydrate(None).unwrap();
                on_a_thread_of(stack, move || {
                    let host = WapcHost::new(Box::new(provider), None).unwrap();
                    for _ in 0..2 {
                        let error = host.call("dive", b"").unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::StackOverflow, "{error:#?}");
                        let exceeded = error.exceeded().unwrap();
                        assert_eq!((exceeded.limit, exceeded.allowed), ("stack", mebibytes << 20));
                        assert!(error.message().contains("(raise it with Limits::stack)"), "{error}");
                    }
                    // A handler at the end of such a stack has room too.
                    assert_eq!(host.call("relay", b"").unwrap_err().kind(), ErrorKind::GuestFailed);
                });
            }
        }
    }
}

#[test]
fn a_deeper_stack_of_a_guest_that_can_suspend_has_room_for_the_host_too() {
    for mebibytes in [2, 8] {
        for builder in deeper(mebibytes) {
            let provider = builder.build_async().unwrap();
            on_a_thread_of(1200 << 10, move || {
                antiphon::block_on(async {
                    let host = WapcHostAsync::builder(Box::new(provider)).handler(Next(None)).build();
                    let host = host.await.unwrap();
                    for _ in 0..2 {
                        let error = host.call("dive", b"").await.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::StackOverflow, "{error:#?}");
                        assert_eq!(error.exceeded().unwrap().allowed, mebibytes << 20);
                    }
                    assert_eq!(host.call("relay", b"").await.unwrap(), b"the last");
                });
            });
        }
    }
}

#[test]
fn a_stack_that_cannot_be_had_is_refused_when_the_provider_is_built() {
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    let refused = |builder: WasmtimeEngineProviderBuilder<'_>| {
        let error: antiphon::errors::Error = builder.build().map(drop).unwrap_err().into();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#?}");
        error.to_string()
    };
    for wrong in [0, (1 << 30) + 1, u64::MAX] {
        let said = refused(builder().limits(Limits::new().stack(wrong)));
        assert!(said.contains(&format!("`stack` of {wrong} bytes")), "{said}");
    }
    let tight = builder().configure(|config| {
        config.max_wasm_stack(2 << 20).async_stack_size(2 << 20);
    });
    assert!(refused(tight).contains("async_stack_size"));
    // The settings of an engine of the caller's are fixed.
    let engine = antiphon_wasmtime::wasmtime::Engine::default();
    let said = refused(builder().engine(engine).limits(Limits::new().stack(1 << 20)));
    assert!(said.contains("1048576") && said.contains("524288"), "{said}");
}

#[test]
fn a_host_can_not_change_the_stack_that_its_provider_was_built_with() {
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    let compiled = builder.limits(Limits::new().stack(1 << 20)).build_pre().unwrap();
    let host = |limits| {
        let provider = compiled.rehydrate(None).unwrap();
        WapcHost::builder(Box::new(provider)).limits(limits).build()
    };
    // Where both set the limit, the stricter one holds.
    for same in [Limits::new(), Limits::new().stack(1 << 20), Limits::new().stack(4 << 20)] {
        let error = host(same).unwrap().call("dive", b"").unwrap_err();
        assert_eq!(error.exceeded().unwrap().allowed, 1 << 20);
    }
    let error = host(Limits::new().stack(1 << 19)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#?}");
    assert!(error.to_string().contains("on the builder"), "{error}");
}
