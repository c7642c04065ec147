//! What is left of a pool that is gone, and what an idle pool costs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use antiphon::errors::ErrorKind;
use antiphon::testing::TestEngine;
use antiphon::{Bytes, HostCall, HostCallError, HostHandlerAsync, Isolation, Limits, Request};
use antiphon_pool::{HostPool, WeakHostPool};
use tokio::sync::Notify;

use crate::alone;
use crate::support::{
    ASK, ECHO, Process, TRAP, engines, eventually, factory, guest, options, patient, run, test_factory,
};

/// Returns the processor time that this process has used; Linux only.
fn used() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

/// Checks that almost nothing runs in this process for a while.
#[track_caller]
fn is_calm(what: &str) {
    let Some(mut before) = used() else { return };
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = used().unwrap();
        if now - before <= Duration::from_millis(20) {
            return;
        }
        assert!(Instant::now() < patience, "{what}: {:?} of work in 500 ms", now - before);
        before = now;
    }
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_pool_that_is_dropped_while_instances_start_leaves_no_thread_that_spins() {
    let _alone = alone();
    let slow = Arc::new(AtomicBool::new(false));
    let engine =
        TestEngine::new().operation("trap", |_| std::panic::resume_unwind(Box::new("boom"))).start({
            let slow = Arc::clone(&slow);
            move || {
                if slow.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Ok(())
            }
        });
    let before = Process::now();
    let pool = HostPool::builder(test_factory(engine)).min(3).max(3).build_blocking().unwrap();
    slow.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        pool.call_blocking("trap", b"").unwrap_err();
    }
    eventually(&pool, "the first of them starts", |stats| stats.starting == 1);
    drop(pool);
    is_calm("the keeper of a pool that is gone");
    if let Some(before) = before {
        before.settles_to();
    }
}

#[test]
fn settings_of_no_time_at_all_and_of_all_time_cost_nothing() {
    let _alone = alone();
    let never = Arc::new(Notify::new());
    let guest = || {
        let never = Arc::clone(&never);
        TestEngine::new().operation("echo", |payload| Ok(payload.to_vec())).operation_with_host(
            "wait",
            move |_| {
                let never = Arc::clone(&never);
                async move {
                    never.notified().await;
                    Ok(Vec::new())
                }
            },
        )
    };
    // The instances above the minimum are busy, so there is nothing to reap.
    for idle in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        run(1, async {
            let builder = HostPool::builder(test_factory(guest())).min(1).max(3).idle(idle);
            let pool = builder.wait(Duration::MAX).limits(patient()).build().await.unwrap();
            let mut calls: Vec<_> = (0..3).map(|_| Box::pin(pool.call("wait", b""))).collect();
            for call in &mut calls {
                assert!(poll(call.as_mut()).is_pending());
            }
            eventually(&pool, "all are busy", |stats| stats.busy == 3);
            is_calm(&format!("idle time {idle:?}"));
            drop(calls);
            eventually(&pool, "it goes on", |stats| stats.idle >= 1 && stats.busy == 0);
            assert_eq!(pool.call("echo", b"hi").await.unwrap(), b"hi");
        });
    }
    // The module no longer starts.
    for pause in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let broken = Arc::new(AtomicBool::new(false));
        let engine =
            TestEngine::new().operation("trap", |_| std::panic::resume_unwind(Box::new("boom"))).start({
                let broken = Arc::clone(&broken);
                move || if broken.load(Ordering::SeqCst) { Err("no more".into()) } else { Ok(()) }
            });
        let builder = HostPool::builder(test_factory(engine)).min(1).max(2).backoff(pause, pause);
        let pool = builder.build_blocking().unwrap();
        broken.store(true, Ordering::SeqCst);
        pool.call_blocking("trap", b"").unwrap_err();
        eventually(&pool, "a start has failed", |stats| stats.failed_starts > 0);
        let (failed, since) = (pool.stats().failed_starts, Instant::now());
        std::thread::sleep(Duration::from_millis(200));
        let more = pool.stats().failed_starts - failed;
        let most = u64::try_from(since.elapsed().as_millis()).unwrap() + 2;
        assert!(more <= most, "{more} starts in {:?} with pauses of {pause:?}", since.elapsed());
        assert_eq!(pool.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::InitFailed);
    }
}

/// Calls the pool that it serves, and does not keep the pool alive.
struct Knows(Arc<OnceLock<WeakHostPool>>);

#[antiphon::async_trait]
impl HostHandlerAsync for Knows {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let caller = call.caller();
        let pool = self.0.get().and_then(WeakHostPool::upgrade).ok_or("the pool is gone")?;
        Ok(pool.call_with(Request::new(ECHO, b"in").caller(caller)).await?.payload.into())
    }
}

#[test]
fn a_handler_that_knows_its_pool_weakly_does_not_keep_it_alive() {
    let _alone = alone();
    let factories =
        engines().into_iter().map(|engine| (engine, factory(engine, Isolation::PerCall))).collect::<Vec<_>>();
    let before = Process::now();
    for (engine, factory) in factories {
        let known = Arc::new(OnceLock::new());
        let handler = Knows(Arc::clone(&known));
        let builder = HostPool::builder(factory).min(1).max(2);
        let pool = builder.limits(patient()).handler(handler).build_blocking().unwrap();
        assert!(known.set(pool.downgrade()).is_ok());
        assert_eq!(pool.call_blocking(ASK, b"").unwrap(), [1, 1, b'i', b'n']);
        drop(pool);
        // A thread of the pools may still be at work for a moment.
        let patience = Instant::now() + Duration::from_secs(20);
        while known.get().unwrap().upgrade().is_some() {
            assert!(Instant::now() < patience, "on {engine}: something still has the pool");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if let Some(before) = before {
        before.settles_to();
    }
}

#[test]
fn a_pool_that_is_dropped_leaves_no_thread_behind() {
    let _alone = alone();
    let Some(before) = Process::now() else { return };
    for round in 0..20 {
        let engine = engines()[round % 2];
        let pool =
            HostPool::builder(factory(engine, Isolation::Reuse)).min(2).max(4).build_blocking().unwrap();
        let error = pool.call_blocking(TRAP, b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Trapped);
        assert_eq!(pool.call_blocking(ECHO, b"").unwrap(), [1]);
        // In one round of three the keeper has rebuilt the instance; in the others it may still be
        // at it.
        if round % 3 == 0 {
            eventually(&pool, "rebuilt", |stats| stats.idle == 2);
        }
    }
    before.settles_to();
}

#[test]
fn a_start_in_a_loop_ends_by_its_deadline_or_with_the_pool() {
    let _alone = alone();
    for engine in engines() {
        let looping =
            engine.factory(&guest(2, "(loop $ever (br $ever))"), &options(Isolation::Reuse)).unwrap();
        let limits = Limits::new().init_deadline(Duration::from_secs(60));
        let pool =
            HostPool::builder(factory(engine, Isolation::Reuse)).limits(limits).build_blocking().unwrap();
        let threads = Process::now();
        run(1, async {
            let replacing = pool.replace_factory(looping);
            let ended = tokio::time::timeout(Duration::from_millis(50), replacing).await;
            assert!(ended.is_err(), "the guest loops");
            assert_eq!(pool.call(ECHO, b"x").await.unwrap(), b"\x01x");
        });
        drop(pool);
        if let Some(process) = threads {
            process.settles_to();
        }
    }
}
