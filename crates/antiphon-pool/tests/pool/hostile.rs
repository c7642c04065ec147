//! What a pool has to survive from its users, their code, and their settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use antiphon::errors::{BoxError, ErrorKind};
use antiphon::testing::TestEngine;
use antiphon::{
    Bytes, Capabilities, Conversation, EngineProviderFactory, Isolation, Limits, ModuleInfo,
    ModuleStateAsync, WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync, handler_fn_async,
};
use antiphon_pool::HostPool;
use tokio::sync::Notify;

use crate::support::{
    self, ASK, ECHO, TRAP, at_rest, engines, eventually, factory, patient, run, test_factory,
};

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_queue_of_none_does_not_keep_a_pool_from_growing() {
    run(1, async {
        let hold = Arc::new(Notify::new());
        let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec())).operation_with_host(
            "wait",
            {
                let hold = Arc::clone(&hold);
                move |_| {
                    let hold = Arc::clone(&hold);
                    async move {
                        hold.notified().await;
                        Ok(Vec::new())
                    }
                }
            },
        );
        let builder = HostPool::builder(test_factory(engine)).min(0).max(2).queue(0);
        let pool = builder.idle(Duration::from_millis(20)).limits(patient()).build().await.unwrap();
        // The pool is idle until no instance is left. The next call has to wait for an instance,
        // and may.
        eventually(&pool, "the last one goes", |stats| stats.idle == 0);
        assert_eq!(pool.call("echo", b"hi").await.unwrap(), b"hi");
        // Two calls at once need two instances; a third call is refused.
        let mut calls = [Box::pin(pool.call("wait", b"")), Box::pin(pool.call("wait", b""))];
        while pool.stats().busy < 2 {
            for call in &mut calls {
                assert!(poll(call.as_mut()).is_pending());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(pool.call("echo", b"no").await.unwrap_err().kind(), ErrorKind::Overloaded);
    });
}

#[test]
fn more_instances_than_any_machine_has_room_for_are_refused() {
    for max in [usize::MAX, 1 << 40, HostPool::MAX_INSTANCES + 1] {
        let builder = HostPool::builder(test_factory(TestEngine::new())).max(max);
        let error = builder.build_blocking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&max.to_string()), "{error}");
    }
    let builder = HostPool::builder(test_factory(TestEngine::new())).min(3).max(2);
    assert_eq!(builder.build_blocking().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_waker_that_panics_disturbs_nobody_else() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("boom"));
        }
    }
    let pool = HostPool::builder(factory(engines()[0], Isolation::Reuse)).max(1).limits(patient());
    let asked = Arc::new(Notify::new());
    let handler = {
        let asked = Arc::clone(&asked);
        handler_fn_async(move |_| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                asked.notified().await;
                Ok(Bytes::new())
            })
        })
    };
    let pool = pool.queue(10).handler(handler).build_blocking().unwrap();
    let busy = std::thread::spawn({
        let pool = pool.clone();
        move || pool.call_blocking(ASK, b"")
    });
    eventually(&pool, "one is busy", |stats| stats.busy == 1);
    let mut bomb = Box::pin(pool.call(ECHO, b""));
    assert!(bomb.as_mut().poll(&mut Context::from_waker(&Arc::new(Bomb).into())).is_pending());
    let behind = std::thread::spawn({
        let pool = pool.clone();
        move || pool.call_blocking(ECHO, b"x")
    });
    eventually(&pool, "two wait", |stats| stats.queued == 2);
    asked.notify_one();
    // The turn goes to a task whose waker panics. Neither the call before it nor the calls behind
    // it notice.
    assert_eq!(busy.join().unwrap().unwrap(), [1]);
    drop(bomb);
    assert_eq!(behind.join().unwrap().unwrap(), [1, b'x']);
    at_rest(&pool, 1);
}

/// An engine whose instances panic when they are dropped or made, if they are told to.
#[derive(Default)]
struct Tantrum {
    drops: AtomicBool,
    makes: AtomicBool,
}

struct Moody {
    inner: Arc<dyn EngineProviderFactory>,
    tantrum: Arc<Tantrum>,
}

struct MoodyProvider {
    inner: Box<dyn WebAssemblyEngineProviderAsync + Send>,
    tantrum: Arc<Tantrum>,
}

impl Drop for MoodyProvider {
    fn drop(&mut self) {
        if self.tantrum.drops.load(Ordering::SeqCst) && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("not like this"));
        }
    }
}

#[antiphon::async_trait]
impl WebAssemblyEngineProviderAsync for MoodyProvider {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.inner.init(host).await
    }

    async fn call(&mut self, op: i32, msg: i32) -> Result<i32, BoxError> {
        self.inner.call(op, msg).await
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.inner.replace(bytes).await
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        self.inner.converse(conversation)
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<antiphon::BoxFuture<'a, Result<i32, BoxError>>> {
        self.inner.converse_async(conversation)
    }
}

impl EngineProviderFactory for Moody {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn module_info(&self) -> &ModuleInfo {
        self.inner.module_info()
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        self.inner.provider()
    }

    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError> {
        if self.tantrum.makes.load(Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new("not now"));
        }
        Ok(Box::new(MoodyProvider {
            inner: self.inner.provider_async()?,
            tantrum: Arc::clone(&self.tantrum),
        }))
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        Ok(Arc::new(Self { inner: self.inner.with_module(bytes)?, tantrum: Arc::clone(&self.tantrum) }))
    }
}

#[test]
fn an_engine_that_panics_while_it_starts_or_drops_an_instance_costs_no_place() {
    let tantrum = Arc::new(Tantrum::default());
    let inner = factory(engines()[0], Isolation::Reuse);
    let moody = Arc::new(Moody { inner, tantrum: Arc::clone(&tantrum) });
    let first = Duration::from_millis(1);
    let builder = HostPool::builder(moody).min(1).max(1).backoff(first, first).limits(patient());
    let pool = builder.build_blocking().unwrap();
    for _ in 0..3 {
        tantrum.drops.store(true, Ordering::SeqCst);
        assert_eq!(pool.call_blocking(TRAP, b"").unwrap_err().kind(), ErrorKind::Trapped);
        tantrum.drops.store(false, Ordering::SeqCst);
        at_rest(&pool, 1);
        assert_eq!(pool.call_blocking(ECHO, b"x").unwrap(), [1, b'x']);
    }
    for _ in 0..3 {
        tantrum.makes.store(true, Ordering::SeqCst);
        assert_eq!(pool.call_blocking(TRAP, b"").unwrap_err().kind(), ErrorKind::Trapped);
        eventually(&pool, "a start has failed", |stats| stats.failed_starts > 0 && stats.idle == 0);
        tantrum.makes.store(false, Ordering::SeqCst);
        at_rest(&pool, 1);
        assert_eq!(pool.call_blocking(ECHO, b"x").unwrap(), [1, b'x']);
    }
    // On a thread of the pools, when an idle instance is dropped.
    let tantrum = Arc::new(Tantrum::default());
    let inner = factory(engines()[0], Isolation::Reuse);
    let moody = Arc::new(Moody { inner, tantrum: Arc::clone(&tantrum) });
    let builder = HostPool::builder(moody).min(0).max(1).idle(Duration::from_millis(20)).limits(patient());
    let pool = builder.build_blocking().unwrap();
    tantrum.drops.store(true, Ordering::SeqCst);
    eventually(&pool, "the idle one goes", |stats| stats.idle == 0);
    tantrum.drops.store(false, Ordering::SeqCst);
    assert_eq!(pool.call_blocking(ECHO, b"x").unwrap(), [1, b'x']);
}

#[test]
fn a_pool_of_one_with_an_instance_for_each_call_outlives_whatever_a_call_does() {
    for engine in engines() {
        let limits = Limits::new().deadline(Duration::from_secs(60));
        let builder = HostPool::builder(factory(engine, Isolation::PerCall)).min(0).max(1).limits(limits);
        let pool = builder.isolation(Isolation::PerCall).build_blocking().unwrap();
        run(2, async {
            for round in 0..20_u8 {
                assert_eq!(pool.call(TRAP, b"").await.unwrap_err().kind(), ErrorKind::Trapped);
                let mut dropped = Box::pin(pool.call(support::SPIN, b""));
                assert!(poll(dropped.as_mut()).is_pending());
                drop(dropped);
                assert_eq!(pool.call(ECHO, &[round]).await.unwrap(), [1, round]);
            }
        });
        assert_eq!(pool.stats().busy, 0);
    }
}
