//! Calls that their callers drop at any point: everything returns to its previous state.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use antiphon::testing::{TestEngine, TestFactory};
use antiphon::{
    CancelHandle, EngineProviderFactory, HostCall, HostCallError, HostHandlerAsync, Isolation, Request,
};
use antiphon_pool::HostPool;

use crate::alone;
use crate::support::{
    ASK, Counted, ECHO, Process, SPIN, WORK, engines, eventually, factory, full_or, guest, patient, runtime,
};

const MAX: usize = 4;

/// How many run at once, and the most that ever did.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }

    fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Yields several times, or forever if it is told to.
struct Busy {
    gauge: Gauge,
    for_ever: Arc<AtomicBool>,
}

#[antiphon::async_trait]
impl HostHandlerAsync for Busy {
    async fn handle(&self, call: HostCall<'_>) -> Result<antiphon::Bytes, HostCallError> {
        let _inside = self.gauge.enter();
        let times = call.payload.first().copied().unwrap_or(0);
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
        if self.for_ever.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok("done".into())
    }
}

/// Polls a future at most `polls` times; returns `None` if it was dropped after that.
async fn for_polls<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    answered: u64,
    cancelled: u64,
}

/// Makes the calls of one task. Each call is given up at some point, by a drop or through a handle.
async fn give_up(pool: HostPool, seed: u64, calls: u64) -> Outcomes {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut outcomes = Outcomes::default();
    for call in 0..calls {
        let (operation, payload) = match next(16) {
            0..6 => (ECHO, vec![7]),
            6..9 => (WORK, u32::try_from(next(20_000)).unwrap().to_le_bytes().to_vec()),
            9..15 => (ASK, vec![u8::try_from(next(20)).unwrap()]),
            // Each takes at least one tick.
            _ if call % 8 == 0 => (SPIN, Vec::new()),
            _ => (ECHO, Vec::new()),
        };
        let cancel = CancelHandle::new();
        let mut request = Request::new(operation, payload);
        if next(4) == 0 {
            request = request.cancel(cancel.clone());
        }
        let polls = u32::try_from(next(10)).unwrap();
        let outcome = for_polls(polls, async {
            let mut calling = pin!(pool.call_with(request));
            let mut until_cancel = next(20);
            poll_fn(|cx| {
                until_cancel = until_cancel.saturating_sub(1);
                if until_cancel == 0 {
                    cancel.cancel();
                }
                calling.as_mut().poll(cx)
            })
            .await
        })
        .await;
        match outcome {
            None => outcomes.cancelled += 1,
            Some(Ok(_)) => outcomes.answered += 1,
            Some(Err(error)) if error.is_cancelled() => outcomes.cancelled += 1,
            Some(Err(error)) => assert!(error.is_guest_failure(), "{error:?}"),
        }
        if call % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    outcomes
}

struct Case {
    name: String,
    factory: Arc<dyn EngineProviderFactory>,
    /// The modules that are used in turn for replacements during the calls.
    modules: [Vec<u8>; 2],
    /// Counts the guests themselves, if the engine can.
    guests: Option<Gauge>,
}

fn everything_returns(case: &Case, calls: u64) {
    const TASKS: u64 = 24;
    let runtime = runtime(2);
    let (gauge, for_ever) = (Gauge::default(), Arc::new(AtomicBool::new(false)));
    let handler = Busy { gauge: gauge.clone(), for_ever: Arc::clone(&for_ever) };
    let versions = Arc::new(AtomicUsize::new(0));
    let builder = HostPool::builder(Counted::factory(Arc::clone(&case.factory), &versions))
        .min(1)
        .max(MAX)
        .queue(24)
        .limits(patient());
    let pool = builder.handler(handler).build_blocking().unwrap();
    let round = |calls: u64, seed: u64| {
        let stop = Arc::new(AtomicBool::new(false));
        let replacing = {
            let (pool, stop, modules) = (pool.clone(), Arc::clone(&stop), case.modules.clone());
            thread::spawn(move || {
                let mut replaced = 0;
                while !stop.load(Ordering::SeqCst) {
                    pool.replace_blocking(&modules[replaced % 2]).unwrap();
                    replaced += 1;
                    thread::sleep(Duration::from_millis(5));
                }
                replaced
            })
        };
        let tasks: Vec<_> =
            (0..TASKS).map(|task| runtime.spawn(give_up(pool.clone(), seed + task, calls / TASKS))).collect();
        let mut sum = Outcomes::default();
        for task in tasks {
            let outcomes = runtime.block_on(task).unwrap();
            sum.answered += outcomes.answered;
            sum.cancelled += outcomes.cancelled;
        }
        stop.store(true, Ordering::SeqCst);
        (sum, replacing.join().unwrap())
    };
    // The allocator and the engine allocate some memory once.
    round(calls / 10, 1);
    let before = Process::now();
    let (outcomes, replaced) = round(calls, 1000);
    assert!(outcomes.answered > calls / 20 && replaced > 2, "{outcomes:?}, {replaced} replaced");
    assert!(outcomes.cancelled > calls / 4, "{outcomes:?}");

    let stats = eventually(&pool, "all is quiet", |stats| {
        stats.busy == 0 && stats.queued == 0 && stats.starting == 0
    });
    assert!(stats.dropped > calls / 40, "{}: {stats:?}", case.name);
    assert!(stats.idle >= 1 && stats.idle <= MAX, "{}: {stats:?}", case.name);
    assert_eq!(versions.load(Ordering::SeqCst), 1, "versions outlive their calls");
    assert_eq!(gauge.now(), 0, "handlers outlive their calls");
    assert!(gauge.most() <= MAX, "{} guests at once", gauge.most());
    if let Some(guests) = &case.guests {
        assert_eq!(guests.now(), 0, "guests outlive their calls");
        assert!((2..=MAX).contains(&guests.most()), "{} guests at once", guests.most());
    }
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    if let Some(before) = before {
        let resident = before.settles_to();
        let grown = resident.saturating_sub(before.resident);
        println!(
            "{}: {calls} calls, {outcomes:?}, {} dropped in the guest, {} rebuilds, {replaced} replaces, {} KiB more",
            case.name,
            stats.dropped,
            stats.rebuilds,
            grown / 1024
        );
        assert!(grown < 24 << 20, "{grown} bytes more on {}", case.name);
    }

    // No place is lost: as many calls run at once as before.
    for_ever.store(true, Ordering::SeqCst);
    let calls: Vec<_> = (0..MAX)
        .map(|_| {
            let pool = pool.clone();
            runtime.spawn(async move { pool.call(ASK, b"").await })
        })
        .collect();
    eventually(&pool, "every place is taken", |stats| stats.busy == MAX && gauge.now() == MAX);
    for call in calls {
        call.abort();
        let _ = runtime.block_on(call);
    }
    assert_eq!((pool.stats().busy, gauge.now()), (0, 0));
}

#[test]
fn calls_that_are_dropped_anywhere_leave_nothing_behind_in_memory() {
    let _alone = alone();
    let guests = Gauge::default();
    let engine = || {
        let (one, two) = (guests.clone(), guests.clone());
        TestEngine::new()
            .operation(ECHO, move |payload| {
                let _inside = one.enter();
                Ok(payload.to_vec())
            })
            .operation(WORK, |_| Ok(Vec::new()))
            .operation_with_host(SPIN, |_| async {
                tokio::task::yield_now().await;
                Err("not for ever".into())
            })
            .operation_with_host(ASK, move |guest| {
                let gauge = two.clone();
                async move {
                    let _inside = gauge.enter();
                    guest.host_call("a", "s", "k", guest.payload()).await
                }
            })
    };
    let modules = [b"one".to_vec(), b"two".to_vec()];
    let factory = TestFactory::new(engine()).module(&b"one"[..], engine()).module(&b"two"[..], engine());
    let case =
        Case { name: "in memory".into(), factory: Arc::new(factory), modules, guests: Some(guests.clone()) };
    everything_returns(&case, full_or(250_000, 10_000));
}

#[test]
fn calls_that_are_dropped_anywhere_leave_nothing_behind_on_every_engine() {
    let _alone = alone();
    for engine in engines() {
        for isolation in [Isolation::Reuse, Isolation::PerCall] {
            let case = Case {
                name: format!("{engine} {isolation:?}"),
                factory: factory(engine, isolation),
                modules: [guest(2, ""), guest(3, "")],
                guests: None,
            };
            everything_returns(&case, full_or(250_000, 4_000));
        }
    }
}
