//! Replacing the module again and again while calls run: no call fails, and memory does not grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use antiphon::Isolation;
use antiphon::errors::ErrorKind;
use antiphon_host::EngineKind;
use antiphon_pool::HostPool;

use crate::alone;
use crate::support::{
    Counted, ECHO, Process, engines, eventually, factory, full_or, guest, patient, runtime,
};

/// Makes this many replacements under 64 callers; one module in five is bad. No call fails, no call
/// that starts after a replacement is answered by an older version, and memory does not grow.
fn replaces_under_callers(engine: EngineKind, isolation: Isolation, rounds: u64) {
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
    let _alone = alone();
    for engine in engines() {
        replaces_under_callers(engine, Isolation::Reuse, full_or(1000, 100));
        replaces_under_callers(engine, Isolation::PerCall, full_or(200, 30));
    }
}
