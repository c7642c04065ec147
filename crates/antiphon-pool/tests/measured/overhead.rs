//! What the pool adds to a call that finds an instance free, and how much two callers slow each
//! other down.
//!
//! The bounds are for an optimised build; an unoptimised build has bounds of its own.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{Isolation, WapcHostAsync, block_on};
use antiphon_host::EngineKind;
use antiphon_pool::HostPool;

use crate::alone;
use crate::support::{ECHO, WORK, at_best, engines, factory, full_or};

const BATCH: u32 = 200;

/// Returns the time of one call in nanoseconds, over a batch of calls.
fn batch(mut call: impl AsyncFnMut()) -> u64 {
    block_on(async {
        let since = Instant::now();
        for _ in 0..BATCH {
            call().await;
        }
        u64::try_from(since.elapsed().as_nanos()).unwrap() / u64::from(BATCH)
    })
}

fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times[times.len() / 2]
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are printed")]
struct Overhead {
    engine: EngineKind,
    bare: u64,
    pooled: u64,
}

#[test]
fn a_call_that_finds_an_instance_free_costs_little_more_than_a_bare_one() {
    let _alone = alone();
    let bar = if cfg!(debug_assertions) { 10_000 } else { 150 };
    for engine in engines() {
        let host = block_on(async {
            let provider = factory(engine, Isolation::Reuse).provider_async().unwrap();
            WapcHostAsync::new(provider, None).await.unwrap()
        });
        let pool = HostPool::builder(factory(engine, Isolation::Reuse)).max(2).build_blocking().unwrap();
        at_best(|| {
            let (mut bare, mut pooled) = (Vec::new(), Vec::new());
            for _ in 0..full_or(3000, 200) {
                bare.push(batch(async || _ = host.call(ECHO, b"x").await.unwrap()));
                pooled.push(batch(async || _ = pool.call(ECHO, b"x").await.unwrap()));
            }
            let figures = Overhead { engine, bare: median(bare), pooled: median(pooled) };
            if figures.pooled < figures.bare + bar { Ok(figures) } else { Err(figures) }
        });
    }
}

/// Runs each caller on a thread for this long, and returns how many calls they made together.
fn threads<C: AsyncFnMut() + Send, const N: usize>(time: Duration, callers: [C; N]) -> u64 {
    let barrier = Barrier::new(N);
    thread::scope(|scope| {
        let threads = callers.map(|mut call| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let until = Instant::now() + time;
                let mut calls = 0;
                while Instant::now() < until {
                    for _ in 0..16 {
                        block_on(call());
                    }
                    calls += 16;
                }
                calls
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are printed")]
struct Scaling {
    engine: EngineKind,
    operation: &'static str,
    /// Calls of one thread and of two: with a host for each thread, and with a pool that they
    /// share.
    own: [u64; 2],
    pooled: [u64; 2],
    /// How much more two threads do than one, on the pool relative to separate hosts.
    scaling: f64,
    /// What two threads do on the pool relative to separate hosts. It is below 1 by what the pool
    /// adds to each call, which has a bound of its own.
    ratio: f64,
}

#[test]
fn two_callers_of_a_pool_scale_like_two_with_a_host_each() {
    let _alone = alone();
    for engine in engines() {
        for (operation, payload, share) in [(WORK, 2000_u32.to_le_bytes(), 0.95), (ECHO, [0; 4], 0.5)] {
            let share = if cfg!(debug_assertions) { share * 0.6 } else { share };
            // The hosts share one compiled module, as those of the pool do. So what hosts share
            // within an engine does not count against the pool.
            let module = factory(engine, Isolation::Reuse);
            let host = || {
                let provider = module.provider_async().unwrap();
                block_on(WapcHostAsync::new(provider, None)).unwrap()
            };
            let hosts = [host(), host()];
            let pool =
                HostPool::builder(factory(engine, Isolation::Reuse)).min(2).max(2).build_blocking().unwrap();
            at_best(|| {
                let (mut own, mut pooled) = ([0; 2], [0; 2]);
                let hosted = |host: usize| {
                    let host = &hosts[host];
                    async move || _ = host.call(operation, &payload).await.unwrap()
                };
                let shared = || async || _ = pool.call(operation, &payload).await.unwrap();
                for _ in 0..full_or(40, 6) {
                    let time = Duration::from_millis(25);
                    own[0] += threads(time, [hosted(0)]);
                    pooled[0] += threads(time, [shared()]);
                    own[1] += threads(time, [hosted(0), hosted(1)]);
                    pooled[1] += threads(time, [shared(), shared()]);
                }
                let [alone, ratio] = [0, 1].map(|threads| pooled[threads] as f64 / own[threads] as f64);
                let figures = Scaling { engine, operation, own, pooled, scaling: ratio / alone, ratio };
                if figures.scaling >= share { Ok(figures) } else { Err(figures) }
            });
        }
    }
}
