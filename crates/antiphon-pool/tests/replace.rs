//! Replacing the module while calls run.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::testing::{TestEngine, TestFactory};
use antiphon::{HostCall, HostCallError, HostHandlerAsync, Isolation};
use antiphon_pool::HostPool;
use support::{
    ASK, Counted, ECHO, Process, engines, eventually, factory, full_or, guest, patient, run, runtime,
};
use tokio::sync::Semaphore;

/// Answers when it is allowed to.
struct Waits(Arc<Semaphore>);

#[antiphon::async_trait]
impl HostHandlerAsync for Waits {
    async fn handle(&self, _call: HostCall<'_>) -> Result<antiphon::Bytes, HostCallError> {
        self.0.acquire().await.unwrap().forget();
        Ok("!".into())
    }
}

fn source(error: &Error) -> &Error {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

#[test]
fn running_calls_end_in_the_old_module_and_new_ones_in_the_new_one_on_every_engine() {
    for engine in engines() {
        run(2, async {
            let release = Arc::new(Semaphore::new(0));
            let builder = HostPool::builder(factory(engine, Isolation::Reuse)).max(2).queue(10);
            let pool = builder.limits(patient()).handler(Waits(Arc::clone(&release))).build().await.unwrap();
            let mut old = pin!(pool.call(ASK, b""));
            poll_fn(|cx| {
                assert!(old.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            assert_eq!(pool.replace(&guest(2, "")).await.unwrap(), 2);
            assert_eq!(pool.call(ECHO, b"x").await.unwrap(), b"\x02x", "on {engine}");
            assert_eq!(pool.version(), 2);
            release.add_permits(1);
            assert_eq!(old.await.unwrap(), b"\x01!");
            for _ in 0..10 {
                assert_eq!(pool.call(ECHO, b"x").await.unwrap(), b"\x02x");
            }
            let stats = eventually(&pool, "the old one is gone", |stats| stats.idle + stats.starting <= 2);
            assert_eq!(stats.replaced, 1);
            let calls: Vec<_> =
                stats.versions.iter().map(|version| (version.number, version.calls)).collect();
            assert_eq!(calls, [(1, 1), (2, 11)]);
            assert_eq!(stats.versions.iter().map(|version| version.run.count()).sum::<u64>(), 12);
        });
    }
}

#[test]
fn a_pool_of_one_whose_instance_is_busy_is_replaced_too() {
    for engine in engines() {
        run(1, async {
            let release = Arc::new(Semaphore::new(0));
            let builder = HostPool::builder(factory(engine, Isolation::Reuse)).max(1).queue(10);
            let pool = builder.limits(patient()).handler(Waits(Arc::clone(&release))).build().await.unwrap();
            let mut old = pin!(pool.call(ASK, b""));
            let mut new = pin!(pool.call(ECHO, b"x"));
            poll_fn(|cx| {
                assert!(old.as_mut().poll(cx).is_pending());
                assert!(new.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            pool.replace(&guest(2, "")).await.unwrap();
            poll_fn(|cx| {
                assert!(new.as_mut().poll(cx).is_pending(), "two guests in a pool of one");
                Poll::Ready(())
            })
            .await;
            release.add_permits(1);
            assert_eq!(old.await.unwrap(), b"\x01!");
            assert_eq!(new.await.unwrap(), b"\x02x");
        });
    }
}

#[test]
fn what_is_refused_changes_nothing_on_every_engine() {
    for engine in engines() {
        let pool = HostPool::builder(factory(engine, Isolation::Reuse)).max(2).build_blocking().unwrap();
        let cases: [(&[u8], ErrorKind); 3] = [
            (b"not a module", ErrorKind::InvalidModule),
            (b"(module)", ErrorKind::InvalidModule),
            (&guest(2, "unreachable"), ErrorKind::InitFailed),
        ];
        for (module, reason) in cases {
            let error = pool.replace_blocking(module).unwrap_err();
            assert_eq!((error.kind(), error.fate()), (ErrorKind::ReplaceFailed, Fate::Kept));
            assert_eq!(source(&error).kind(), reason, "on {engine}");
            assert_eq!(pool.call_blocking(ECHO, b"x").unwrap(), b"\x01x");
        }
        assert_eq!((pool.version(), pool.stats().replaced, pool.stats().rebuilds), (1, 0, 0));
    }
}

#[test]
fn a_replacement_ends_the_back_off_of_a_module_that_does_not_start() {
    let broken = Arc::new(AtomicBool::new(false));
    let bad = TestEngine::new().operation("trap", |_| std::panic::resume_unwind(Box::new("boom"))).start({
        let broken = Arc::clone(&broken);
        move || if broken.load(Ordering::SeqCst) { Err("no".into()) } else { Ok(()) }
    });
    let good = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
    let builder = HostPool::builder(Arc::new(TestFactory::new(bad).module("good", good))).max(1);
    let pool = builder.backoff(Duration::from_secs(600), Duration::from_secs(600)).build_blocking().unwrap();
    broken.store(true, Ordering::SeqCst);
    pool.call_blocking("trap", b"").unwrap_err();
    eventually(&pool, "a start fails", |stats| stats.failed_starts == 1);
    assert_eq!(pool.call_blocking("echo", b"").unwrap_err().kind(), ErrorKind::InitFailed);
    pool.replace_blocking(b"good").unwrap();
    assert_eq!(pool.call_blocking("echo", b"x").unwrap(), b"x");
    // The keeper also starts instances again at once.
    broken.store(false, Ordering::SeqCst);
    assert_eq!(pool.stats().idle, 1);
}

/// Makes this many replacements under 64 callers; one module in five is bad. No call fails, no call
/// that starts after a replacement is answered by an older version, and memory does not grow.
fn replaces_under_callers(engine: antiphon_host::EngineKind, isolation: Isolation, rounds: u64) {
    let versions = Arc::new(AtomicUsize::new(0));
    let pool = HostPool::builder(Counted::factory(factory(engine, isolation), &versions))
        .max(4)
        .queue(64)
        .limits(patient());
    let pool = pool.build_blocking().unwrap();
    let runtime = runtime(2);
    let (stop, current) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (pool, stop, current) = (pool.clone(), Arc::clone(&stop), Arc::clone(&current));
            runtime.spawn(async move {
                let mut calls = 0_u64;
                while !stop.load(Ordering::SeqCst) {
                    let at_least = current.load(Ordering::SeqCst);
                    let answer = pool.call(ECHO, b"x").await.unwrap();
                    assert_eq!(answer[1..], *b"x");
                    // Modules are numbered modulo 200.
                    let behind = (at_least % 200 + 200 - u64::from(answer[0])) % 200;
                    assert!(behind == 0 || behind > 100, "{behind} behind after {at_least} on {engine}");
                    calls += 1;
                    // 64 tasks that are never pending would starve each other and the test.
                    tokio::task::yield_now().await;
                }
                calls
            })
        })
        .collect();
    let mut warm = None;
    for round in 0..rounds {
        let good = current.load(Ordering::SeqCst);
        if round % 5 == 4 {
            let bad = if round % 2 == 0 { guest(9, "unreachable") } else { b"bad".to_vec() };
            let error = pool.replace_blocking(&bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReplaceFailed);
        } else {
            let next = u8::try_from((good + 1) % 200).unwrap();
            pool.replace_blocking(&guest(next, "")).unwrap();
            current.store(good + 1, Ordering::SeqCst);
        }
        if round == rounds / 5 {
            warm = Process::now();
        }
    }
    let now = Process::now();
    stop.store(true, Ordering::SeqCst);
    let calls: u64 = callers.into_iter().map(|caller| runtime.block_on(caller).unwrap()).sum();
    assert!(calls > rounds, "{calls} calls");
    let stats = pool.stats();
    assert_eq!(stats.errors, [], "on {engine}");
    assert_eq!((stats.calls, stats.replaced), (calls, rounds - rounds / 5));
    eventually(&pool, "all is quiet", |stats| stats.busy == 0 && stats.starting == 0);
    assert_eq!(versions.load(Ordering::SeqCst), 1, "old versions are still there");
    assert!(stats.versions.len() <= 20, "{} versions are remembered", stats.versions.len());
    if let (Some(warm), Some(now)) = (warm, now) {
        let grown = now.resident.saturating_sub(warm.resident);
        println!(
            "{engine} {isolation:?}: {calls} calls, {rounds} replaces, {} KiB more, then {} KiB",
            grown / 1024,
            now.resident / 1024
        );
        assert!(grown < 24 << 20, "{grown} bytes more on {engine} after {rounds} replacements");
    }
}

#[test]
fn no_call_fails_because_of_replacements() {
    for engine in engines() {
        replaces_under_callers(engine, Isolation::Reuse, full_or(1000, 100));
        replaces_under_callers(engine, Isolation::PerCall, full_or(200, 30));
    }
}
