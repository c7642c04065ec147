//! What the tests of the pool share.

#![allow(dead_code, clippy::panic, clippy::unwrap_used, reason = "each test takes what it needs, and fails")]

use std::env;
use std::fs;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use antiphon::errors::BoxError;
use antiphon::testing::{TestEngine, TestFactory};
use antiphon::{
    Capabilities, EngineProviderFactory, Isolation, Limits, ModuleInfo, WebAssemblyEngineProvider,
    WebAssemblyEngineProviderAsync,
};
use antiphon_host::{EngineKind, EngineOptions};
use antiphon_pool::{HostPool, PoolStats};

/// Returns `full` if `ANTIPHON_POOL_FULL` is set, and otherwise `part`, which a debug build has
/// time for.
pub(crate) fn full_or(full: u64, part: u64) -> u64 {
    if env::var_os("ANTIPHON_POOL_FULL").is_some() { full } else { part }
}

/// The operations of [`guest`], which tells them apart by the length of their names.
pub(crate) const ECHO: &str = "e";
/// Runs a loop as often as its payload says (32 bits, little-endian).
pub(crate) const WORK: &str = "wo";
pub(crate) const SPIN: &str = "spi";
pub(crate) const TRAP: &str = "trap";
/// Calls its host and returns the answer.
pub(crate) const ASK: &str = "ask..";

/// Returns a guest whose answers begin with its version. `init` is the code that runs when it
/// starts.
pub(crate) fn guest(version: u8, init: &str) -> Vec<u8> {
    let text = r#"(module
      (import "wapc" "__guest_request" (func $request (param i32 i32)))
      (import "wapc" "__guest_response" (func $response (param i32 i32)))
      (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
      (import "wapc" "__host_response" (func $host_response (param i32)))
      (memory (export "memory") 2)
      (data (i32.const 8) "ask")
      (func (export "wapc_init") INIT)
      (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (local $left i32)
        (call $request (i32.const 0) (i32.const 1025))
        (i32.store8 (i32.const 1024) (i32.const VERSION))
        (if (i32.eq (local.get $op) (i32.const 2)) (then
          (local.set $left (i32.load (i32.const 1025)))
          (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (i32.gt_s (local.get $left) (i32.const 0))))))
        (if (i32.eq (local.get $op) (i32.const 3)) (then (loop $ever (br $ever))))
        (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable))
        (if (i32.eq (local.get $op) (i32.const 5)) (then
          (drop (call $host_call
            (i32.const 8) (i32.const 3) (i32.const 8) (i32.const 3) (i32.const 8) (i32.const 3)
            (i32.const 1025) (local.get $msg)))
          (call $host_response (i32.const 1025))
          (local.set $msg (call $host_response_len))))
        (call $response (i32.const 1024) (i32.add (local.get $msg) (i32.const 1)))
        (i32.const 1)))"#;
    text.replace("VERSION", &version.to_string()).replace("INIT", init).into_bytes()
}

pub(crate) fn options(isolation: Isolation) -> EngineOptions {
    EngineOptions::new().isolation(isolation)
}

/// Returns the first version of [`guest`] on an engine.
pub(crate) fn factory(engine: EngineKind, isolation: Isolation) -> Arc<dyn EngineProviderFactory> {
    engine.factory(&guest(1, ""), &options(isolation)).unwrap()
}

pub(crate) fn engines() -> Vec<EngineKind> {
    let engines: Vec<_> = EngineKind::available().collect();
    assert_eq!(engines.len(), 2, "both engines are in the tests");
    engines
}

/// A factory that counts how many of its kind are alive: one for each version that still exists.
pub(crate) struct Counted {
    factory: Arc<dyn EngineProviderFactory>,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn factory(
        factory: Arc<dyn EngineProviderFactory>,
        alive: &Arc<AtomicUsize>,
    ) -> Arc<dyn EngineProviderFactory> {
        alive.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self { factory, alive: Arc::clone(alive) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl EngineProviderFactory for Counted {
    fn capabilities(&self) -> Capabilities {
        self.factory.capabilities()
    }

    fn module_info(&self) -> &ModuleInfo {
        self.factory.module_info()
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        self.factory.provider()
    }

    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError> {
        self.factory.provider_async()
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        Ok(Self::factory(self.factory.with_module(bytes)?, &self.alive))
    }
}

/// Returns a factory of an in-memory engine.
pub(crate) fn test_factory(engine: TestEngine) -> Arc<dyn EngineProviderFactory> {
    Arc::new(TestFactory::new(engine))
}

/// Returns limits whose deadlines are long enough for everything.
pub(crate) fn patient() -> Limits {
    Limits::new().deadline(Duration::from_secs(120)).init_deadline(Duration::from_secs(120))
}

/// Waits until the statistics of the pool satisfy `holds`.
#[track_caller]
pub(crate) fn eventually(pool: &HostPool, what: &str, holds: impl Fn(&PoolStats) -> bool) -> PoolStats {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let stats = pool.stats();
        if holds(&stats) {
            return stats;
        }
        assert!(Instant::now() < patience, "{what}: {stats:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Checks that no call holds anything of the pool and all of its instances are idle again.
#[track_caller]
pub(crate) fn at_rest(pool: &HostPool, instances: usize) {
    let stats = eventually(pool, "all is given back", |stats| stats.idle == instances);
    assert_eq!((stats.busy, stats.starting, stats.queued), (0, 0, 0));
}

/// Creates a runtime with this many threads; for 1, on the current thread.
pub(crate) fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_time().build().unwrap()
}

pub(crate) fn run<T>(threads: usize, future: impl Future<Output = T>) -> T {
    runtime(threads).block_on(future)
}

/// Polls futures in one task until all of them have ended.
pub(crate) async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, output) in &mut futures {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *output = Some(ready);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// Tries up to three times, because a busy machine may spoil an attempt.
#[track_caller]
pub(crate) fn at_best<T: std::fmt::Debug>(attempt: impl Fn() -> Result<T, T>) {
    let mut failures = Vec::new();
    for _ in 0..3 {
        match attempt() {
            Ok(figures) => return println!("{figures:?}"),
            Err(figures) => failures.push(figures),
        }
    }
    panic!("{failures:#?}");
}

/// What this process holds of the system's resources; Linux only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) resident: u64,
    pub(crate) files: usize,
    pub(crate) threads: usize,
}

impl Process {
    pub(crate) fn now() -> Option<Self> {
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        let entries = |dir| Some(fs::read_dir(dir).ok()?.count());
        Some(Self {
            resident: pages * 4096,
            files: entries("/proc/self/fd")?,
            threads: entries("/proc/self/task")?,
        })
    }

    /// Returns the names of the open files.
    fn names() -> Vec<String> {
        let links = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        links.filter_map(|link| Some(fs::read_link(link.path()).ok()?.display().to_string())).collect()
    }

    /// Waits until there are no more files and threads than before, and returns the memory in use
    /// then. A few more files may be open, because an engine's own pool keeps the image of a
    /// module's memory in a slot until the slot is used again.
    #[track_caller]
    pub(crate) fn settles_to(self) -> u64 {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let now = Self::now().unwrap();
            if now.files <= self.files.saturating_add(4) && now.threads <= self.threads {
                return now.resident;
            }
            assert!(Instant::now() < patience, "{now:?} where there was {self:?}: {:?}", Self::names());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
