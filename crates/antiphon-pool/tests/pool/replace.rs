//! Replacing the module while calls run.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::testing::{TestEngine, TestFactory};
use antiphon::{HostCall, HostCallError, HostHandlerAsync, Isolation};
use antiphon_pool::HostPool;
use tokio::sync::Semaphore;

use crate::support::{ASK, ECHO, engines, eventually, factory, guest, patient, run};

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
