//! What many pools cost together: the threads that they share, and the memory of an idle one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::Isolation;
use antiphon::errors::ErrorKind;
use antiphon::testing::TestEngine;
use antiphon_host::EngineKind;
use antiphon_pool::HostPool;

use crate::alone;
use crate::support::{ECHO, Process, engines, eventually, factory, test_factory};

/// The most threads that start instances.
fn crew() -> usize {
    thread::available_parallelism().map_or(1, usize::from).max(4)
}

/// Returns a pool whose instances do not start while `hang` is set.
fn pool(hang: &Arc<AtomicBool>, instances: usize) -> HostPool {
    let hang = Arc::clone(hang);
    let engine = TestEngine::new()
        .operation("echo", |payload| Ok(payload.to_vec()))
        .operation("trap", |_| std::panic::resume_unwind(Box::new("boom")))
        .start(move || {
            while hang.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
    HostPool::builder(test_factory(engine)).min(instances).max(instances).build_blocking().unwrap()
}

#[track_caller]
fn trap(pool: &HostPool) {
    assert_eq!(pool.call_blocking("trap", b"").unwrap_err().kind(), ErrorKind::Trapped);
}

/// Lets the starts of a pool hang in one thread of the crew.
fn hung(hang: &Arc<AtomicBool>) -> HostPool {
    hang.store(false, Ordering::SeqCst);
    let hung = pool(hang, 1);
    hang.store(true, Ordering::SeqCst);
    trap(&hung);
    eventually(&hung, "its start hangs", |stats| stats.starting == 1);
    hung
}

#[test]
fn many_pools_share_a_few_threads_and_idle_ones_have_none() {
    let _alone = alone();
    let before = Process::now();
    let pools: Vec<_> = (0..200).map(|_| pool(&Arc::default(), 2)).collect();
    for _ in 0..3 {
        pools.iter().for_each(trap);
        for pool in &pools {
            eventually(pool, "it has its instances again", |stats| stats.idle == 2);
            if let (Some(before), Some(now)) = (before, Process::now()) {
                assert!(now.threads <= before.threads + crew(), "{now:?} where there was {before:?}");
            }
        }
    }
    for pool in &pools {
        assert_eq!(pool.stats().rebuilds, 3);
        assert_eq!(pool.call_blocking("echo", b"hi").unwrap(), b"hi");
    }
    let threads = |process: Process| process.threads;
    if let Some(before) = before.map(threads) {
        let patience = Instant::now() + Duration::from_secs(20);
        while Process::now().map(threads).unwrap() > before {
            assert!(Instant::now() < patience, "{:?} where there were {before} threads", Process::now());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_start_that_hangs_in_one_pool_delays_no_repair_in_another() {
    let _alone = alone();
    let hang = Arc::default();
    let _hung = hung(&hang);
    let healthy = pool(&Arc::default(), 1);
    for round in 1..=3 {
        trap(&healthy);
        let since = Instant::now();
        let stats = eventually(&healthy, "repaired", |stats| stats.idle == 1);
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        assert_eq!((stats.rebuilds, stats.failed_starts), (round, 0));
    }
    hang.store(false, Ordering::SeqCst);
}

#[test]
fn where_starts_hang_in_all_threads_a_call_that_waits_starts_its_instance_itself() {
    let _alone = alone();
    let hangs: Vec<Arc<AtomicBool>> = (0..crew()).map(|_| Arc::default()).collect();
    let hung: Vec<_> = hangs.iter().map(hung).collect();
    let healthy = pool(&Arc::default(), 2);
    trap(&healthy);
    // What no call waits for has to wait.
    thread::sleep(Duration::from_millis(50));
    let stats = healthy.stats();
    assert_eq!((stats.idle, stats.starting, stats.rebuilds), (1, 0, 0));
    trap(&healthy);
    let since = Instant::now();
    assert_eq!(healthy.call_blocking("echo", b"hi").unwrap(), b"hi");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    // One thread that is free again is enough for all.
    hangs[0].store(false, Ordering::SeqCst);
    eventually(&healthy, "repaired", |stats| stats.idle == 2);
    eventually(&hung[0], "started", |stats| stats.idle == 1);
    for hang in &hangs {
        hang.store(false, Ordering::SeqCst);
    }
    for hung in &hung {
        eventually(hung, "started", |stats| stats.idle == 1);
    }
}

#[test]
fn an_idle_pool_costs_memory_for_the_instances_that_it_has_and_not_for_those_that_it_may_have() {
    /// What an idle pool with one instance may cost, in bytes.
    const MOST: u64 = 64 << 10;
    /// The memory of the guest in bytes. An interpreter may hold all of it, and native code only
    /// what was written to.
    const GUEST: u64 = 2 << 16;
    const POOLS: u64 = 200;

    let _alone = alone();
    for engine in engines() {
        for isolation in [Isolation::Reuse, Isolation::PerCall] {
            let factory = factory(engine, isolation);
            let pools = |number| {
                let build = |_| {
                    let pool = HostPool::builder(Arc::clone(&factory)).max(64).build_blocking().unwrap();
                    assert_eq!(pool.call_blocking(ECHO, b"hi").unwrap(), b"\x01hi");
                    pool
                };
                (0..number).map(build).collect::<Vec<_>>()
            };
            // What the first pools cost once.
            let _first = pools(10);
            let Some(before) = Process::now() else { return };
            let _pools = pools(POOLS);
            let more = Process::now().unwrap().resident.saturating_sub(before.resident) / POOLS;
            let most = if engine == EngineKind::Wasmi { MOST + GUEST } else { MOST };
            assert!(more <= most, "on {engine}, {isolation:?}: {more} bytes a pool");
        }
    }
}
