//! What the pool promises under load: beside a guest that loops, and when there is far more to do than it can.
//!
//! These measure times, so they run one after the other, and each may try three times on a machine that is busy elsewhere.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test says what it expects"
)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::ErrorKind;
use antiphon::{Isolation, Request};
use antiphon_engines::AnyEngine;
use antiphon_pool::HostPool;
use support::{SPIN, WORK, at_best, engines, eventually, factory, full_or, patient, runtime};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The payload of a `WORK` that takes about so long.
fn work_of(pool: &HostPool, time: Duration) -> [u8; 4] {
    let mut turns = 1000_u32;
    loop {
        let since = Instant::now();
        pool.call_blocking(WORK, &turns.to_le_bytes()).unwrap();
        let took = since.elapsed();
        if took >= time {
            return turns.to_le_bytes();
        }
        turns = turns.saturating_add(turns / 4);
    }
}

fn percentile(mut times: Vec<Duration>, part: f64) -> Duration {
    times.sort_unstable();
    let rank = (times.len() as f64 * part) as usize;
    times[rank.min(times.len() - 1)]
}

/// So many calls by four callers, beside a loop or not: the times of the calls, and of the loop.
fn innocents(engine: AnyEngine, threads: usize, looping: bool) -> (Duration, Option<Duration>) {
    let builder = HostPool::builder(factory(engine, Isolation::Reuse)).max(3).queue(1000);
    let pool = builder.limits(patient()).build_blocking().unwrap();
    let work = work_of(&pool, Duration::from_micros(500));
    let runtime = runtime(threads);
    let times = runtime.block_on(async {
        let deadline = Duration::from_millis(700);
        let spinning = looping.then(|| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let since = Instant::now();
                let error = pool.call_with(Request::new(SPIN, b"").deadline(deadline)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
                assert!(since.elapsed() >= deadline, "{:?}", since.elapsed());
                since.elapsed()
            })
        });
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    for _ in 0..250 {
                        let since = Instant::now();
                        pool.call(WORK, &work).await.unwrap();
                        times.push(since.elapsed());
                        tokio::task::yield_now().await;
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.await.unwrap());
        }
        let spun = match spinning {
            Some(spinning) => Some(spinning.await.unwrap()),
            None => None,
        };
        (percentile(times, 0.99), spun)
    });
    assert_eq!(pool.stats().errors.len(), usize::from(looping), "an innocent failed: {:?}", pool.stats());
    times
}

#[test]
fn a_guest_that_loops_ends_by_its_deadline_and_fails_no_innocent() {
    let _alone = alone();
    for engine in engines() {
        at_best(|| {
            let (_, spun) = innocents(engine, 1, true);
            // Beside innocents that keep the one thread busy.
            if spun < Some(Duration::from_millis(900)) { Ok(spun) } else { Err(spun) }
        });
        at_best(|| {
            let ((calm, _), (beside, spun)) = (innocents(engine, 2, false), innocents(engine, 2, true));
            let figures = (engine, calm, beside, spun);
            let is_met = beside < calm * 3 && spun < Some(Duration::from_millis(900));
            if is_met { Ok(figures) } else { Err(figures) }
        });
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are printed")]
struct Overload {
    engine: AnyEngine,
    peak: f64,
    goodput: f64,
    refused: usize,
    /// From when the call was made, and from when it was to be made: in between its task waits for a thread.
    refusal_p99: Duration,
    arrival_to_refusal_p99: Duration,
    normal_after: Duration,
}

/// Calls answered in a second by as many callers as there are instances.
fn peak(pool: &HostPool, runtime: &tokio::runtime::Runtime, work: [u8; 4], time: Duration) -> f64 {
    let until = Instant::now() + time;
    let callers: Vec<_> = (0..pool.stats().max)
        .map(|_| {
            let pool = pool.clone();
            runtime.spawn(async move {
                let mut calls = 0_u64;
                while Instant::now() < until {
                    pool.call(WORK, &work).await.unwrap();
                    calls += 1;
                    tokio::task::yield_now().await;
                }
                calls
            })
        })
        .collect();
    let calls: u64 = callers.into_iter().map(|caller| runtime.block_on(caller).unwrap()).sum();
    calls as f64 / time.as_secs_f64()
}

fn overload(engine: AnyEngine, time: Duration) -> Overload {
    let builder = HostPool::builder(factory(engine, Isolation::Reuse)).min(2).max(2).limits(patient());
    let pool = builder.build_blocking().unwrap();
    let work = work_of(&pool, Duration::from_micros(1500));
    let runtime = runtime(2);
    peak(&pool, &runtime, work, Duration::from_millis(200));
    let peak = peak(&pool, &runtime, work, (time / 4).min(Duration::from_secs(5)));

    // Ten times as many, whatever becomes of them.
    let (answered, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let counting = Arc::new(AtomicBool::new(true));
    let (since, mut made) = (Instant::now(), 0_u64);
    while since.elapsed() < time {
        let due = (since.elapsed().as_secs_f64() * peak * 10.0) as u64;
        for _ in made..due {
            let (pool, answered, refused, counting) =
                (pool.clone(), Arc::clone(&answered), Arc::clone(&refused), Arc::clone(&counting));
            let arrived = Instant::now();
            runtime.spawn(async move {
                let called = Instant::now();
                match pool.call(WORK, &work).await {
                    Ok(_) if counting.load(Ordering::Relaxed) => _ = answered.fetch_add(1, Ordering::Relaxed),
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Overloaded);
                        refused.lock().unwrap().push((called.elapsed(), arrived.elapsed()));
                    }
                }
            });
        }
        made = due;
        thread::sleep(Duration::from_millis(1));
    }
    let took = since.elapsed();
    counting.store(false, Ordering::Relaxed);
    let goodput = answered.load(Ordering::Relaxed) as f64 / took.as_secs_f64();

    // Normal again: nobody waits, and a call takes what it should.
    let since = Instant::now();
    let normal_after = loop {
        let called = Instant::now();
        let call = runtime.block_on(async { pool.call(WORK, &work).await });
        if call.is_ok() && called.elapsed() < Duration::from_millis(5) && pool.stats().queued == 0 {
            break since.elapsed();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "never normal again: {:?}", pool.stats());
    };
    eventually(&pool, "all is quiet", |stats| stats.busy == 0);
    let refused = std::mem::take(&mut *refused.lock().unwrap());
    let number = refused.len();
    let (calls, arrivals): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
    Overload {
        engine,
        peak,
        goodput,
        refused: number,
        refusal_p99: percentile(calls, 0.99),
        arrival_to_refusal_p99: percentile(arrivals, 0.99),
        normal_after,
    }
}

#[test]
fn ten_times_too_much_is_refused_quickly_and_the_rest_is_served() {
    let _alone = alone();
    let time = Duration::from_secs(full_or(60, 3));
    // Unoptimised, the callers that are refused take a good part of the processors themselves, and wait for them.
    let (share, arrival) = if cfg!(debug_assertions) { (0.75, 1000) } else { (0.9, 10) };
    for engine in engines() {
        at_best(|| {
            let figures = overload(engine, time);
            let is_met = figures.goodput >= figures.peak * share
                && figures.refusal_p99 < Duration::from_millis(10)
                && figures.arrival_to_refusal_p99 < Duration::from_millis(arrival)
                && figures.normal_after < Duration::from_secs(2);
            if is_met { Ok(figures) } else { Err(figures) }
        });
    }
}
