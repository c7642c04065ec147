//! Calls of a pool: the order in which they are served, which ones are refused, and what the
//! statistics say.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use antiphon::errors::{ErrorKind, Fate, Phase};
use antiphon::testing::TestEngine;
use antiphon::{CancelHandle, HostCall, HostCallError, HostHandlerAsync, Isolation, Limits, Request};
use antiphon_pool::HostPool;
use tokio::sync::Semaphore;

use crate::support::{self, ECHO, engines, eventually, factory, patient, run, test_factory};

/// A guest with two operations: `wait` ends when the semaphore allows it, and `echo` notes its
/// payloads.
struct Waits {
    release: Arc<Semaphore>,
    served: Arc<Mutex<Vec<Vec<u8>>>>,
    running: Arc<AtomicUsize>,
}

impl Waits {
    fn new() -> (Self, TestEngine) {
        let us =
            Self { release: Arc::new(Semaphore::new(0)), served: Arc::default(), running: Arc::default() };
        let (release, served, running) =
            (Arc::clone(&us.release), Arc::clone(&us.served), Arc::clone(&us.running));
        let engine = TestEngine::new()
            .operation("echo", move |payload| {
                served.lock().unwrap().push(payload.to_vec());
                Ok(payload.to_vec())
            })
            .operation_with_host("wait", move |_| {
                let (release, running) = (Arc::clone(&release), Arc::clone(&running));
                async move {
                    running.fetch_add(1, Ordering::SeqCst);
                    release.acquire().await.unwrap().forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(Vec::new())
                }
            });
        (us, engine)
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn pool_of(engine: TestEngine, max: usize, queue: usize) -> HostPool {
    HostPool::builder(test_factory(engine)).max(max).queue(queue).limits(patient()).build().await.unwrap()
}

#[test]
fn calls_that_wait_are_served_in_their_order_and_more_than_the_queue_holds_are_refused() {
    run(1, async {
        let (guest, engine) = Waits::new();
        let pool = pool_of(engine, 1, 3).await;
        let mut busy = Box::pin(pool.call("wait", b""));
        assert!(poll(&mut busy).is_pending());
        let payloads = [b"1", b"2", b"3"];
        let mut calls: Vec<_> =
            payloads.iter().map(|payload| Box::pin(pool.call("echo", *payload))).collect();
        for call in &mut calls {
            assert!(poll(call).is_pending());
        }
        assert_eq!((pool.stats().queued, pool.stats().busy), (3, 1));

        let error = pool.call("echo", b"4").await.unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::Overloaded, Fate::Kept));
        assert!(error.to_string().contains("1 instances are busy, and 3 calls wait"), "{error}");

        // A call that leaves makes room, and does not delay the calls behind it.
        drop(calls.remove(1));
        calls.push(Box::pin(pool.call("echo", b"5")));
        assert!(poll(&mut calls[2]).is_pending());
        guest.release.add_permits(1);
        assert_eq!(busy.await.unwrap(), b"");
        for (call, payload) in calls.into_iter().zip([b"1", b"3", b"5"]) {
            assert_eq!(call.await.unwrap(), payload);
        }
        assert_eq!(*guest.served.lock().unwrap(), [b"1", b"3", b"5"]);

        let stats = pool.stats();
        assert_eq!((stats.calls, stats.queued, stats.busy, stats.idle), (4, 0, 0, 1));
        assert_eq!(stats.errors, [(ErrorKind::Overloaded, 1)]);
        assert_eq!((stats.wait.count(), stats.run.count()), (4, 4));
    });
}

#[test]
fn a_wait_ends_by_the_deadline_of_the_call_or_by_the_limit_of_the_pool_and_never_runs() {
    run(1, async {
        let (guest, engine) = Waits::new();
        let builder = HostPool::builder(test_factory(engine)).max(1).wait(Duration::from_millis(60));
        let pool = builder.limits(patient()).build().await.unwrap();
        let mut busy = Box::pin(pool.call("wait", b""));
        assert!(poll(&mut busy).is_pending());

        let since = Instant::now();
        let late = pool.call_with(Request::new("echo", b"late").deadline(Duration::from_millis(20)));
        let error = late.await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::Queue)));
        assert_eq!(error.fate(), Fate::Kept);
        assert_eq!(error.to_string(), "no instance was free in time, execution deadline exceeded");
        // The deadline may be up to 1 ms early, if the tick that it is counted from came late.
        assert!(since.elapsed() >= Duration::from_millis(19), "{:?}", since.elapsed());
        let exceeded = error.exceeded().unwrap();
        assert_eq!((exceeded.limit, exceeded.allowed, exceeded.unit), ("deadline", 20_000, "us"));
        assert!(exceeded.used >= 20_000, "{exceeded}");

        let error = pool.call("echo", b"later").await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::Queue)));
        let exceeded = error.exceeded().unwrap();
        assert_eq!((exceeded.limit, exceeded.allowed), ("queue_wait", 60_000));

        let cancel = CancelHandle::new();
        let mut cancelled = Box::pin(pool.call_with(Request::new("echo", b"never").cancel(cancel.clone())));
        assert!(poll(&mut cancelled).is_pending());
        cancel.cancel();
        let error = cancelled.await.unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::Cancelled, Fate::Kept));

        guest.release.add_permits(1);
        busy.await.unwrap();
        assert_eq!(pool.call("echo", b"on time").await.unwrap(), b"on time");
        assert_eq!(*guest.served.lock().unwrap(), [b"on time"]);
        assert_eq!(pool.stats().errors_of(ErrorKind::DeadlineExceeded), 2);
        assert_eq!(pool.stats().rebuilds, 0);
    });
}

#[test]
fn the_deadline_of_a_call_and_its_usage_count_its_time_in_the_queue() {
    run(2, async {
        let (guest, engine) = Waits::new();
        let pool = pool_of(engine, 1, 3).await;
        let mut busy = Box::pin(pool.call("wait", b""));
        assert!(poll(&mut busy).is_pending());
        let mut queued = Box::pin(pool.call_with(Request::new("echo", b"").usage(true)));
        assert!(poll(&mut queued).is_pending());
        // Only now, because the wait has begun.
        let release = Arc::clone(&guest.release);
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            release.add_permits(1);
        });
        busy.await.unwrap();
        let usage = queued.await.unwrap().usage.unwrap();
        assert!(usage.queue_time >= Duration::from_millis(50), "{usage:?}");
        assert!(usage.guest_time < usage.queue_time, "{usage:?}");
        later.await.unwrap();
        assert!(pool.stats().wait.quantile(1.0) >= Duration::from_millis(50));
    });
}

#[test]
fn a_queue_of_none_refuses_whoever_finds_all_busy() {
    run(1, async {
        let (guest, engine) = Waits::new();
        let pool = HostPool::builder(test_factory(engine)).min(1).max(1).queue(0).build().await.unwrap();
        let mut busy = Box::pin(pool.call("wait", b""));
        assert!(poll(&mut busy).is_pending());
        assert_eq!(pool.call("echo", b"").await.unwrap_err().kind(), ErrorKind::Overloaded);
        guest.release.add_permits(1);
        busy.await.unwrap();
        assert_eq!(pool.call("echo", b"hi").await.unwrap(), b"hi");
    });
}

#[test]
fn the_pool_grows_to_its_maximum_while_calls_wait_and_shrinks_again_when_they_do_not() {
    run(1, async {
        let (guest, engine) = Waits::new();
        let starts = engine.starts();
        let builder = HostPool::builder(test_factory(engine)).min(1).max(3).queue(10);
        let pool = builder.idle(Duration::from_millis(50)).limits(patient()).build().await.unwrap();
        assert_eq!(starts.load(Ordering::SeqCst), 1);
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.call("wait", b"").await })
            })
            .collect();
        while guest.running.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(guest.running.load(Ordering::SeqCst), 3);
        let stats = pool.stats();
        assert_eq!((stats.busy, stats.idle, stats.queued), (3, 0, 5));
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        guest.release.add_permits(8);
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let stats = eventually(&pool, "surplus instances go", |stats| stats.idle == 1);
        assert_eq!((stats.busy, stats.starting, stats.rebuilds), (0, 0, 0));
        assert_eq!(pool.call("echo", b"still").await.unwrap(), b"still");
    });
}

#[test]
fn threads_without_a_runtime_and_tasks_share_the_instances_on_every_engine() {
    for engine in engines() {
        let builder = HostPool::builder(factory(engine, Isolation::Reuse)).max(2).queue(100);
        let pool = builder.limits(patient()).build_blocking().unwrap();
        let call = |pool: &HostPool, n: u32| {
            let answer = pool.call_blocking(ECHO, &n.to_le_bytes()).unwrap();
            assert_eq!(answer, [&[1][..], &n.to_le_bytes()].concat(), "on {engine}");
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let pool = &pool;
                scope.spawn(move || (0..200).for_each(|n| call(pool, thread << 16 | n)));
            }
            run(2, async {
                for n in 0..200_u32 {
                    let request = Request::new(ECHO, n.to_le_bytes().to_vec());
                    let response = pool.call_with(request).await.unwrap();
                    assert_eq!(response.payload[1..], n.to_le_bytes());
                }
            });
        });
        let stats = pool.stats();
        assert_eq!((stats.calls, stats.errors.len()), (1000, 0), "on {engine}: {stats:?}");
        assert!(stats.idle <= 2);
    }
}

#[test]
fn with_isolation_per_call_nothing_is_left_of_a_call_on_every_engine() {
    let counter = br#"(module
      (import "wapc" "__guest_response" (func $response (param i32 i32)))
      (memory (export "memory") 1)
      (func (export "__guest_call") (param i32 i32) (result i32)
        (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1)))"#;
    for engine in engines() {
        for (isolation, last) in [(Isolation::PerCall, 1), (Isolation::Reuse, 5)] {
            let factory = engine.factory(counter, &support::options(isolation)).unwrap();
            let pool = HostPool::builder(factory).max(1).build_blocking().unwrap();
            let answers: Vec<_> = (0..5).map(|_| pool.call_blocking("count", b"").unwrap()).collect();
            assert_eq!(answers.last().unwrap(), &[last], "{isolation:?} on {engine}");
            assert_eq!(pool.stats().rebuilds, 0);
        }
        // The builder of the pool may also ask for isolation per call.
        let factory = engine.factory(counter, &support::options(Isolation::Reuse)).unwrap();
        let builder = HostPool::builder(factory).max(1).isolation(Isolation::PerCall);
        let pool = builder.build_blocking().unwrap();
        for _ in 0..3 {
            assert_eq!(pool.call_blocking("count", b"").unwrap(), [1]);
        }
    }
}

#[test]
fn an_instance_is_rebuilt_after_its_calls() {
    let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
    let starts = engine.starts();
    let pool = HostPool::builder(test_factory(engine)).max(1).recycle_after(10).build_blocking().unwrap();
    for _ in 0..95 {
        pool.call_blocking("echo", b"").unwrap();
    }
    eventually(&pool, "nine were rebuilt", |stats| stats.rebuilds == 9 && stats.idle == 1);
    assert_eq!(starts.load(Ordering::SeqCst), 10);
}

/// Calls the pool again, as often as the payload says, with or without naming its caller.
struct Again {
    pool: Arc<Mutex<Option<HostPool>>>,
    as_caller: bool,
}

#[antiphon::async_trait]
impl HostHandlerAsync for Again {
    async fn handle(&self, call: HostCall<'_>) -> Result<antiphon::Bytes, HostCallError> {
        let pool = self.pool.lock().unwrap().clone().expect("the pool is there");
        let left = call.payload.first().copied().unwrap_or(0);
        if left == 0 {
            return Ok("deep".into());
        }
        let mut request = Request::new("again", vec![left - 1]);
        if self.as_caller {
            request = request.caller(call.caller());
        }
        Ok(pool.call_with(request).await?.payload.into())
    }
}

fn calls_itself(max: usize, as_caller: bool) -> HostPool {
    let engine = TestEngine::new().operation_with_host("again", |guest| async move {
        guest.host_call("b", "n", "o", guest.payload()).await
    });
    let cell = Arc::new(Mutex::new(None));
    let handler = Again { pool: Arc::clone(&cell), as_caller };
    let builder = HostPool::builder(test_factory(engine)).max(max).handler(handler);
    let pool = builder.limits(patient()).build_blocking().unwrap();
    *cell.lock().unwrap() = Some(pool.clone());
    pool
}

#[test]
fn a_handler_may_call_the_pool_again_as_deep_as_there_are_instances() {
    for as_caller in [true, false] {
        let pool = calls_itself(3, as_caller);
        run(1, async {
            assert_eq!(pool.call("again", &[2]).await.unwrap(), b"deep");
            let since = Instant::now();
            let error = pool.call("again", &[3]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::GuestFailed);
            assert!(error.to_string().contains("all 3 of whose instances wait"), "{error}");
            assert!(since.elapsed() < Duration::from_secs(60));
        });
        assert_eq!(pool.stats().errors_of(ErrorKind::Reentrancy), 1);
        assert_eq!(pool.call_blocking("again", &[2]).unwrap(), b"deep");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (min, max) in [(0, 0), (3, 2)] {
        let builder = HostPool::builder(test_factory(TestEngine::new())).min(min).max(max);
        let error = builder.build_blocking().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(&format!("{min} to {max}")), "{error}");
    }
    let pool = HostPool::builder(test_factory(TestEngine::new())).min(64).build_blocking().unwrap();
    assert!(pool.stats().max >= 64);
    assert_eq!(pool.stats().idle, 64);
}

#[test]
fn a_call_that_has_no_time_left_runs_in_no_instance_and_costs_none() {
    run(1, async {
        let (guest, engine) = Waits::new();
        let builder = HostPool::builder(test_factory(engine)).max(1).limits(patient());
        let pool = builder.build().await.unwrap();
        let late = || Request::new("echo", b"late").deadline(Duration::ZERO);
        let expect = |error: antiphon::errors::Error, text: &str| {
            assert_eq!((error.kind(), error.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::Queue)));
            assert_eq!((error.fate(), error.to_string().as_str()), (Fate::Kept, text));
        };
        let error = pool.call_with(late()).await.unwrap_err();
        expect(error, "the call's deadline was over before the call began");

        let mut busy = Box::pin(pool.call("wait", b""));
        assert!(poll(&mut busy).is_pending());
        let error = pool.call_with(late()).await.unwrap_err();
        expect(error, "no instance was free in time, execution deadline exceeded");
        guest.release.add_permits(1);
        busy.await.unwrap();
        let stats = pool.stats();
        assert_eq!((stats.rebuilds, stats.idle, stats.errors_of(ErrorKind::DeadlineExceeded)), (0, 1, 2));
    });
}

#[test]
fn the_deadline_of_calls_that_wait_is_the_one_of_the_limits() {
    run(1, async {
        let (_guest, engine) = Waits::new();
        let limits = Limits::new().deadline(Duration::from_millis(40));
        let builder = HostPool::builder(test_factory(engine)).max(1).limits(limits);
        let pool = builder.build().await.unwrap();
        let mut busy = Box::pin(pool.call("wait", b""));
        assert!(poll(&mut busy).is_pending());
        let error = pool.call("echo", b"").await.unwrap_err();
        assert_eq!(error.exceeded().unwrap().allowed, 40_000);
        assert_eq!(error.phase(), Some(Phase::Queue));
    });
}
