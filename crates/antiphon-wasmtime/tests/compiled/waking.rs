//! Which task is woken for a guest that waits. A guest is called before its task is known.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use antiphon::errors::BoxError;
use antiphon::{
    BoxFuture, Bytes, Conversation, HostCall, HostCallError, HostHandlerAsync, ModuleStateAsync,
    WapcHostAsync, WebAssemblyEngineProviderAsync, async_trait,
};
use antiphon_wasmtime::{WasmtimeEngineProviderAsync, WasmtimeEngineProviderBuilder};

/// Calls its host, and answers what the host answered.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_response" (func $host_response (param i32)))
    (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32)
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $host_response (i32.const 0))
        (call $response (i32.const 0) (call $host_response_len))
        (i32.const 1)))"#;

async fn host(handler: impl HostHandlerAsync + 'static) -> WapcHostAsync {
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    // Guests that yield at each tick would also wake their task for that.
    let provider = builder.cooperative(false).build_async().unwrap();
    WapcHostAsync::builder(Box::new(provider)).handler(handler).build().await.unwrap()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
}

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Waits until it is opened. It keeps the waker of its first poll only, as many futures of users
/// do.
#[derive(Clone, Default)]
struct Door(Arc<(AtomicBool, Mutex<Option<Waker>>)>);

impl Door {
    fn open(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.lock().unwrap().take().expect("nobody waits").wake();
    }
}

#[async_trait]
impl HostHandlerAsync for Door {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let mut waiting = false;
        poll_fn(|cx| {
            if self.0.0.swap(false, Ordering::SeqCst) {
                return Poll::Ready(Ok(Bytes::from_static(b"open")));
            }
            if !waiting {
                waiting = true;
                *self.0.1.lock().unwrap() = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

#[test]
fn whoever_polled_a_call_last_is_woken() {
    run(async {
        let door = Door::default();
        let host = host(door.clone()).await;
        // The second call finds an instance and a relay that have served before.
        for _ in 0..2 {
            let (first, last) = (Arc::new(Task::default()), Arc::new(Task::default()));
            let mut call = pin!(host.call("go", b""));
            for task in [&first, &last, &first, &last] {
                assert!(call.as_mut().poll(&mut Context::from_waker(&Arc::clone(task).into())).is_pending());
            }
            assert_eq!((first.woken(), last.woken()), (0, 0), "nothing has happened");

            door.open();
            assert_eq!((first.woken(), last.woken()), (0, 1));

            let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("the handler has answered");
            };
            assert_eq!(answer.unwrap(), b"open");
        }
    });
}

#[test]
fn a_host_that_is_idle_keeps_no_task_alive() {
    run(async {
        let door = Door::default();
        let host = host(door.clone()).await;
        let task = Arc::new(Task::default());
        {
            let waker = Waker::from(Arc::clone(&task));
            let mut call = pin!(host.call("go", b""));
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            door.open();
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        }
        assert_eq!(Arc::strong_count(&task), 1);

        // Neither does a call that was dropped in the middle.
        {
            let waker = Waker::from(Arc::clone(&task));
            let mut call = pin!(host.call("go", b""));
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(Arc::strong_count(&task), 1);
        drop(door);
    });
}

/// Is woken by another thread before its first poll is over.
struct Hasty;

#[async_trait]
impl HostHandlerAsync for Hasty {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if polls > 3 {
                return Poll::Ready(Ok(Bytes::from_static(b"here")));
            }
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Pending
        })
        .await
    }
}

#[test]
fn a_wake_before_the_task_is_known_is_not_lost() {
    run(async {
        let host = host(Hasty).await;
        for _ in 0..2 {
            let task = Arc::new(Task::default());
            let waker = Waker::from(Arc::clone(&task));
            let mut call = pin!(host.call("go", b""));
            // An executor polls only tasks that were woken.
            let answer = loop {
                match call.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(answer) => break answer,
                    Poll::Pending => {
                        assert!(task.0.swap(0, Ordering::SeqCst) > 0, "nobody would poll this again")
                    }
                }
            };
            assert_eq!(answer.unwrap(), b"here");
        }
    });
}

/// A provider around another one, written when there was only one way to run a call.
struct Wrapped(WasmtimeEngineProviderAsync);

#[async_trait]
impl WebAssemblyEngineProviderAsync for Wrapped {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.0.init(host).await
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        unreachable!("the host converses")
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.0.replace(bytes).await
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        self.0.converse_async(conversation)
    }
}

#[test]
fn a_guest_is_called_also_by_who_never_tries_it_without_waiting() {
    run(async {
        let provider =
            WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).build_async().unwrap();
        let host = WapcHostAsync::builder(Box::new(Wrapped(provider))).handler(Hasty).build().await.unwrap();
        for payload in [&b""[..], &[7; 4096]] {
            let call = pin!(host.call("go", payload));
            let answer = antiphon::ticker::within(std::time::Duration::from_secs(20), call).await;
            assert_eq!(answer.expect("nobody began the call").unwrap(), b"here");
        }
    });
}
