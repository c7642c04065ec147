//! A fault in one call costs one instance, which comes back by itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use antiphon::errors::{BoxError, ErrorKind, Fate};
use antiphon::testing::{TestEngine, TestFactory};
use antiphon::{
    Bytes, Capabilities, EngineProviderFactory, HostCall, HostCallError, HostHandler, Isolation, ModuleInfo,
    Request, WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync,
};
use antiphon_pool::{HostPool, WeakHostPool};

use crate::support::{self, ASK, ECHO, SPIN, TRAP, engines, eventually, factory, run, test_factory};

struct Panics;

impl HostHandler for Panics {
    fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        std::panic::resume_unwind(Box::new("boom"));
    }
}

#[test]
fn a_trap_a_deadline_and_a_handler_that_panics_cost_one_instance_each_on_every_engine() {
    for engine in engines() {
        for isolation in [Isolation::Reuse, Isolation::PerCall] {
            let builder = HostPool::builder(factory(engine, isolation)).min(2).max(2).handler_sync(Panics);
            let pool = builder.build_blocking().unwrap();
            run(1, async {
                let trap = pool.call(TRAP, b"").await.unwrap_err();
                assert_eq!((trap.kind(), trap.fate()), (ErrorKind::Trapped, Fate::Discarded));
                let panicked = pool.call(ASK, b"").await.unwrap_err();
                assert_eq!(panicked.kind(), ErrorKind::HostPanicked);
                let spin = Request::new(SPIN, b"").deadline(Duration::from_millis(20));
                let late = pool.call_with(spin).await.unwrap_err();
                assert_eq!(late.kind(), ErrorKind::DeadlineExceeded);
                assert_eq!(pool.call(ECHO, b"x").await.unwrap(), b"\x01x", "on {engine}");
            });
            let rebuilds = if isolation == Isolation::Reuse { 3 } else { 0 };
            let stats =
                eventually(&pool, "capacity is back", |stats| stats.idle == 2 && stats.rebuilds == rebuilds);
            assert_eq!((stats.calls, stats.traps(), stats.failed_starts), (4, 1, 0), "on {engine}");
            assert_eq!(stats.errors_of(ErrorKind::HostPanicked), 1);
        }
    }
}

/// Starts one instance, and looks at its pool when it is dropped.
struct Parting {
    module: TestFactory,
    started: AtomicBool,
    pool: Arc<OnceLock<WeakHostPool>>,
    gone: mpsc::SyncSender<usize>,
}

impl EngineProviderFactory for Parting {
    fn capabilities(&self) -> Capabilities {
        self.module.capabilities()
    }

    fn module_info(&self) -> &ModuleInfo {
        self.module.module_info()
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        self.module.provider()
    }

    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError> {
        if self.started.swap(true, Ordering::SeqCst) {
            return Err("one was enough".into());
        }
        self.module.provider_async()
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        self.module.with_module(bytes)
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.get().and_then(WeakHostPool::upgrade) {
            let _ = self.gone.send(pool.stats().max);
        }
    }
}

#[test]
fn a_factory_is_dropped_where_it_may_look_at_its_pool() {
    let module = || {
        let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
        TestFactory::new(engine.operation("trap", |_| std::panic::resume_unwind(Box::new("trap"))))
    };
    let (gone, heard) = mpsc::sync_channel(1);
    let known = Arc::new(OnceLock::new());
    let (started, pool) = (AtomicBool::new(false), Arc::clone(&known));
    let parting = Parting { module: module(), started, pool, gone };
    let pool = HostPool::builder(Arc::new(parting)).max(1).build_blocking().unwrap();
    assert!(known.set(pool.downgrade()).is_ok());
    // No instance of the old version is left, and none can be started.
    assert_eq!(pool.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
    eventually(&pool, "the module does not start any more", |stats| stats.failed_starts > 0);
    let (replaced, done) = mpsc::channel();
    // On a thread of its own, because it would never end if the pool's lock were held here.
    std::thread::spawn(move || {
        antiphon::block_on(pool.replace_factory(Arc::new(module()))).unwrap();
        replaced.send(pool.call_blocking("echo", b"hi").unwrap()).unwrap();
    });
    let patience = Duration::from_secs(20);
    assert_eq!(done.recv_timeout(patience).unwrap(), b"hi");
    assert_eq!(heard.recv_timeout(patience).unwrap(), 1);
}

#[test]
fn a_guest_failure_costs_nothing() {
    let engine = TestEngine::new().operation("fail", |_| Err("out of tea".into()));
    let starts = engine.starts();
    let pool = HostPool::builder(test_factory(engine)).max(1).build_blocking().unwrap();
    for _ in 0..20 {
        assert_eq!(pool.call_blocking("fail", b"").unwrap_err().kind(), ErrorKind::GuestFailed);
    }
    assert_eq!((starts.load(Ordering::SeqCst), pool.stats().rebuilds), (1, 0));
    assert_eq!(pool.stats().errors, [(ErrorKind::GuestFailed, 20)]);
}

#[test]
fn nobody_waits_for_the_repair_of_what_another_one_broke() {
    let slow = Arc::new(AtomicBool::new(false));
    let engine = TestEngine::new()
        .operation("trap", |_| std::panic::resume_unwind(Box::new("boom")))
        .operation("echo", |payload| Ok(payload.to_vec()))
        .start({
            let slow = Arc::clone(&slow);
            move || {
                if slow.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(400));
                }
                Ok(())
            }
        });

    let pool = HostPool::builder(test_factory(engine)).min(2).max(2).build_blocking().unwrap();
    slow.store(true, Ordering::SeqCst);
    let since = Instant::now();
    assert_eq!(pool.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
    for _ in 0..100 {
        assert_eq!(pool.call_blocking("echo", b"x").unwrap(), b"x");
    }
    assert!(since.elapsed() < Duration::from_millis(300), "{:?}", since.elapsed());
    // All of them ran in the other instance.
    assert_eq!(pool.stats().idle, 1);
    eventually(&pool, "the other one is back", |stats| stats.idle == 2);
}

#[test]
fn a_module_that_does_not_start_any_more_backs_off_answers_at_once_and_recovers() {
    let broken = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicUsize::new(0));
    let engine = TestEngine::new()
        .operation("trap", |_| std::panic::resume_unwind(Box::new("boom")))
        .operation("echo", |payload| Ok(payload.to_vec()))
        .start({
            let (broken, tries) = (Arc::clone(&broken), Arc::clone(&tries));
            move || {
                tries.fetch_add(1, Ordering::SeqCst);
                if broken.load(Ordering::SeqCst) { Err("no database".into()) } else { Ok(()) }
            }
        });

    let builder = HostPool::builder(test_factory(engine)).max(2).min(2);
    let pool =
        builder.backoff(Duration::from_millis(20), Duration::from_millis(160)).build_blocking().unwrap();
    broken.store(true, Ordering::SeqCst);
    tries.store(0, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(pool.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
    }
    eventually(&pool, "a start fails", |stats| stats.failed_starts > 0);
    let since = Instant::now();
    let mut refused = 0;
    while since.elapsed() < Duration::from_millis(500) {
        let error = pool.call_blocking("echo", b"").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::InitFailed, Fate::NeverBorn));
        assert!(error.to_string().contains("no database"), "{error}");
        refused += 1;
    }
    // If each call waited for the next start, there would be a handful of refusals.
    assert!(refused > 100, "{refused}");
    // Starts are tried at 0, 20, 60, 140, 300, and 460 ms, and every 160 ms if the machine was
    // slow.
    let (tried, took) = (tries.load(Ordering::SeqCst), since.elapsed());
    let most = 8 + usize::try_from(took.as_millis().saturating_sub(500) / 160).unwrap();
    assert!((2..=most).contains(&tried), "{tried} starts in {took:?}");
    broken.store(false, Ordering::SeqCst);
    eventually(&pool, "capacity is back", |stats| stats.idle == 2);
    assert_eq!(pool.call_blocking("echo", b"x").unwrap(), b"x");
    assert_eq!(pool.stats().errors_of(ErrorKind::InitFailed), refused);
}

#[test]
fn a_module_that_does_not_start_at_first_builds_no_pool_on_any_engine() {
    for engine in engines() {
        let factory =
            engine.factory(&support::guest(1, "unreachable"), &support::options(Isolation::Reuse)).unwrap();
        let error = HostPool::builder(factory).build_blocking().map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::InitFailed, Fate::NeverBorn), "on {engine}");
    }
}
