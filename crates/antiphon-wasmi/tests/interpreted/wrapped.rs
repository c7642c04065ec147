//! Providers in wrappers that pass on only a part of what a host tries.

use std::sync::Arc;

use antiphon::errors::{BoxError, ErrorKind, Fate};
use antiphon::{
    BoxFuture, Bytes, Conversation, HostCall, HostCallError, HostHandlerAsync, ModuleStateAsync,
    WapcHostAsync, WebAssemblyEngineProviderAsync, async_trait,
};
use antiphon_wasmi::{WasmiEngineProviderAsync, WasmiEngineProviderBuilder};

/// Counts its calls, calls its host, and answers its count and the host's answer.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_response" (func $host_response (param i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32)
        (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $host_response (i32.const 1))
        (call $response (i32.const 0) (i32.const 2))
        (i32.const 1)))"#;

/// A provider around another one.
struct Wrapped {
    inner: WasmiEngineProviderAsync,
    /// Whether it passes on [`converse`](WebAssemblyEngineProviderAsync::converse). Otherwise it
    /// passes on [`converse_async`](WebAssemblyEngineProviderAsync::converse_async).
    straight: bool,
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for Wrapped {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.inner.init(host).await
    }

    async fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError> {
        self.inner.call(op_length, msg_length).await
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.inner.replace(bytes).await
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        if self.straight { self.inner.converse(conversation) } else { None }
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        if self.straight { None } else { self.inner.converse_async(conversation) }
    }
}

struct Yields;

#[async_trait]
impl HostHandlerAsync for Yields {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        tokio::task::yield_now().await;
        Ok("!".into())
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
}

async fn host(straight: bool) -> WapcHostAsync {
    let inner = WasmiEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).build_async().unwrap();
    let wrapped = Box::new(Wrapped { inner, straight });
    WapcHostAsync::builder(wrapped).handler(Yields).build().await.unwrap()
}

#[test]
fn a_guest_is_called_also_by_who_never_tries_it_without_waiting() {
    run(async {
        let host = host(false).await;
        for count in 1..=3 {
            assert_eq!(host.call("go", b"").await.unwrap(), [count, b'!']);
        }
    });
}

/// The call has begun when it turns out to wait. If it began again, the guest would do twice what
/// it did before the wait.
#[test]
fn a_call_that_nobody_goes_on_with_is_an_error_and_does_not_begin_again() {
    run(async {
        let host = host(true).await;
        for _ in 0..2 {
            let error = host.call("go", b"").await.unwrap_err();
            assert_eq!((error.kind(), error.fate()), (ErrorKind::Engine, Fate::Discarded), "{error:#?}");
        }
    });
}
