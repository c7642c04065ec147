//! The end of a pool by a drain.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use antiphon::errors::{ErrorKind, Fate};
use antiphon::testing::TestEngine;
use antiphon::{HostCall, HostCallError, HostHandlerAsync, Isolation, Request};
use antiphon_pool::{HostPool, WeakHostPool};
use tokio::sync::Notify;

use crate::support::{
    ASK, ECHO, SPIN, engines, eventually, factory, guest, options, patient, run, test_factory,
};

/// Never answers.
struct Silent;

#[antiphon::async_trait]
impl HostHandlerAsync for Silent {
    async fn handle(&self, _call: HostCall<'_>) -> Result<antiphon::Bytes, HostCallError> {
        std::future::pending().await
    }
}

#[test]
fn a_drain_lets_calls_finish_and_then_frees_everything() {
    let freed = Arc::new(AtomicBool::new(false));
    struct Notes(Arc<AtomicBool>);
    impl Drop for Notes {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let notes = Notes(Arc::clone(&freed));
    let engine = TestEngine::new().operation_with_host("slow", move |_| {
        let _ = &notes;
        async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Ok(b"done".to_vec())
        }
    });
    run(2, async {
        let builder = HostPool::builder(test_factory(engine)).max(2).queue(10).limits(patient());
        let pool = builder.build().await.unwrap();
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.call("slow", b"").await })
            })
            .collect();
        while pool.stats().busy + pool.stats().queued < 6 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let drained = pool.drain(Duration::from_secs(60)).await;
        assert_eq!((drained.running, drained.queued), (0, 0));
        let error = pool.call("slow", b"").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.to_string().contains("drained"), "{error}");
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), b"done");
        }
        let stats = pool.stats();
        assert_eq!((stats.idle, stats.busy, stats.starting, stats.queued), (0, 0, 0, 0));
        let error = pool.replace_factory(test_factory(TestEngine::new())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReplaceFailed);
        // A second drain changes nothing.
        assert_eq!(pool.drain(Duration::ZERO).await, drained);
        drop(pool);
    });
    assert!(freed.load(Ordering::SeqCst), "the module outlived its pool");
}

#[test]
fn what_is_left_at_the_end_of_the_grace_is_cut_off_on_every_engine() {
    for engine in engines() {
        for (operation, threads) in [(SPIN, 2), (ASK, 1)] {
            let builder = HostPool::builder(factory(engine, Isolation::Reuse)).max(2).queue(10);
            let pool = builder.limits(patient()).handler(Silent).build_blocking().unwrap();
            run(threads, async {
                let calls: Vec<_> = (0..5)
                    .map(|_| {
                        let pool = pool.clone();
                        tokio::spawn(async move { pool.call(operation, b"").await })
                    })
                    .collect();
                while pool.stats().busy < 2 || pool.stats().queued < 3 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let since = Instant::now();
                let drained = pool.drain(Duration::from_millis(50)).await;
                assert_eq!((drained.running, drained.queued), (2, 3), "{operation} on {engine}");
                assert!(since.elapsed() < Duration::from_secs(20));
                for call in calls {
                    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
                }
                let stats = pool.stats();
                assert_eq!((stats.idle, stats.busy, stats.starting, stats.queued), (0, 0, 0, 0));
            });
        }
    }
}

/// Uses engines that never yield, and callers of both kinds; the guest ends long before the
/// deadline of its call.
#[test]
fn a_guest_that_never_yields_is_cut_off_at_its_next_tick() {
    for engine in engines() {
        let options = options(Isolation::Reuse).cooperative(false);
        for isolation in [Isolation::Reuse, Isolation::PerCall] {
            let factory = engine.factory(&guest(1, ""), &options).unwrap();
            let builder = HostPool::builder(factory).min(2).max(2).isolation(isolation);
            let pool = builder.limits(patient()).build_blocking().unwrap();
            let callers = [false, true].map(|blocking| {
                let pool = pool.clone();
                std::thread::spawn(move || match blocking {
                    true => pool.call_with_blocking(Request::new(SPIN, b"")).map(|response| response.payload),
                    false => run(1, pool.call(SPIN, b"")),
                })
            });
            eventually(&pool, "both run", |stats| stats.busy == 2);
            let since = Instant::now();
            let drained = pool.drain_blocking(Duration::from_millis(20));
            assert_eq!((drained.running, drained.queued), (2, 0), "on {engine}");
            // The calls are gone when the drain returns, which waits for them for at most one
            // second.
            let stats = pool.stats();
            assert_eq!((stats.idle, stats.busy, stats.starting), (0, 0, 0), "on {engine}");
            for caller in callers {
                let error = caller.join().unwrap().unwrap_err();
                assert_eq!(
                    (error.kind(), error.fate()),
                    (ErrorKind::Cancelled, Fate::Discarded),
                    "on {engine}"
                );
                assert!(error.to_string().contains("drained"), "{error}");
            }
            assert!(since.elapsed() < Duration::from_secs(20), "on {engine}: {:?}", since.elapsed());
            assert_eq!(pool.stats().errors_of(ErrorKind::Cancelled), 2);
        }
    }
}

/// Waits until the drain has begun, and then calls the pool.
struct Late(Arc<OnceLock<WeakHostPool>>, Arc<Notify>);

#[antiphon::async_trait]
impl HostHandlerAsync for Late {
    async fn handle(&self, call: HostCall<'_>) -> Result<antiphon::Bytes, HostCallError> {
        let caller = call.caller();
        self.1.notified().await;
        let pool = self.0.get().and_then(WeakHostPool::upgrade).ok_or("the pool is gone")?;
        let inner = pool.call_with(Request::new(ECHO, b"in").caller(caller)).await?;
        Ok(inner.payload.into())
    }
}

#[test]
fn a_call_that_runs_may_call_the_pool_until_the_grace_is_over() {
    for engine in engines() {
        for max in [2, 4] {
            let (known, go_on) = (Arc::new(OnceLock::new()), Arc::new(Notify::new()));
            let handler = Late(Arc::clone(&known), Arc::clone(&go_on));
            let builder = HostPool::builder(factory(engine, Isolation::Reuse)).min(1).max(max);
            run(2, async {
                let pool = builder.limits(patient()).handler(handler).build().await.unwrap();
                assert!(known.set(pool.downgrade()).is_ok());
                let calling = tokio::spawn({
                    let pool = pool.clone();
                    async move { pool.call(ASK, b"").await }
                });
                while pool.stats().busy == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let draining = tokio::spawn({
                    let pool = pool.clone();
                    async move { pool.drain(Duration::from_secs(60)).await }
                });
                while pool.call(ECHO, b"").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                go_on.notify_one();
                assert_eq!(calling.await.unwrap().unwrap(), [1, 1, b'i', b'n'], "on {engine}");
                let drained = draining.await.unwrap();
                assert_eq!((drained.running, drained.queued), (0, 0), "on {engine}");
                let stats = pool.stats();
                assert_eq!((stats.idle, stats.busy, stats.starting, stats.queued), (0, 0, 0, 0));
            });
        }
    }
}

#[test]
fn a_module_that_is_still_starting_is_cut_off_as_well() {
    for engine in engines() {
        let factory = engine.factory(&guest(1, ""), &options(Isolation::Reuse).cooperative(false)).unwrap();
        let pool = HostPool::builder(factory).max(1).limits(patient()).build_blocking().unwrap();
        let replacing = std::thread::spawn({
            let pool = pool.clone();
            move || pool.replace_blocking(&guest(2, "(loop $ever (br $ever))"))
        });
        std::thread::sleep(Duration::from_millis(100));
        let since = Instant::now();
        pool.drain_blocking(Duration::ZERO);
        // The replacement may have begun after the drain.
        let error = replacing.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReplaceFailed, "on {engine}");
        assert!(since.elapsed() < Duration::from_secs(30), "on {engine}: {:?}", since.elapsed());
    }
}

#[test]
fn a_blocking_call_is_cut_off_as_well() {
    let pool = HostPool::builder(factory(engines()[0], Isolation::Reuse)).max(1).handler(Silent);
    let pool = pool.limits(patient()).build_blocking().unwrap();
    let caller = std::thread::spawn({
        let pool = pool.clone();
        move || pool.call_blocking(ASK, b"")
    });
    eventually(&pool, "the call runs", |stats| stats.busy == 1);
    let drained = pool.drain_blocking(Duration::from_millis(10));
    assert_eq!((drained.running, drained.queued), (1, 0));
    assert_eq!(caller.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_call_that_nobody_polls_does_not_hold_up_a_drain() {
    run(1, async {
        let builder = HostPool::builder(factory(engines()[0], Isolation::Reuse)).max(1).handler(Silent);
        let pool = builder.limits(patient()).build().await.unwrap();
        let mut forgotten = Box::pin(pool.call(ASK, b""));
        assert!(futures_poll(forgotten.as_mut()).is_pending());
        let since = Instant::now();
        assert_eq!(pool.drain(Duration::from_millis(10)).await.running, 1);
        assert!(since.elapsed() < Duration::from_secs(10));
        assert_eq!(pool.stats().busy, 1);
        drop(forgotten);
        assert_eq!(pool.stats().busy, 0);
    });
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
