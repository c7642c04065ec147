//! What the pool costs a call that finds an instance free, and what two callers cost each other.
//!
//! The figures are those of an optimised build; an unoptimised one is held to a bound of its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{Isolation, WapcHostAsync, block_on};
use antiphon_engines::AnyEngine;
use antiphon_pool::HostPool;
use support::{ECHO, WORK, at_best, engines, factory, full_or};

const BATCH: u32 = 200;

/// The time of one call, in nanoseconds, over a batch of them.
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
    engine: AnyEngine,
    bare: u64,
    pooled: u64,
}

#[test]
fn a_call_that_finds_an_instance_free_costs_little_more_than_a_bare_one() {
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

/// Calls of as many threads together as there are callers, in some time.
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
    engine: AnyEngine,
    operation: &'static str,
    /// Calls of one thread and of two: with a host each, and with a pool that they share.
    own: [u64; 2],
    pooled: [u64; 2],
    /// By how much two threads do more than one: those of the pool over the others.
    scaling: f64,
    /// What two threads do: those of the pool over the others. Less than 1 by what the pool takes of each call, which has a
    /// bound of its own.
    ratio: f64,
}

#[test]
fn two_callers_of_a_pool_scale_like_two_with_a_host_each() {
    for engine in engines() {
        for (operation, payload, share) in [(WORK, 2000_u32.to_le_bytes(), 0.95), (ECHO, [0; 4], 0.5)] {
            let share = if cfg!(debug_assertions) { share * 0.6 } else { share };
            // Hosts of one compiled module, as those of the pool are: what they share of an engine is not the pool's.
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
