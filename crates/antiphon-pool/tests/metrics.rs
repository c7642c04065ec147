//! The pool's numbers in the `metrics` facade.

#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use antiphon::testing::{TestEngine, TestFactory};
use antiphon_pool::HostPool;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use support::eventually;

#[derive(Default)]
struct Number(AtomicI64);

impl CounterFn for Number {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value.try_into().unwrap(), Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value.try_into().unwrap(), Ordering::SeqCst);
    }
}

impl GaugeFn for Number {
    fn increment(&self, value: f64) {
        self.0.fetch_add(value as i64, Ordering::SeqCst);
    }

    fn decrement(&self, value: f64) {
        self.0.fetch_sub(value as i64, Ordering::SeqCst);
    }

    fn set(&self, value: f64) {
        self.0.store(value as i64, Ordering::SeqCst);
    }
}

/// Counts the values that it was given.
impl HistogramFn for Number {
    fn record(&self, value: f64) {
        assert!((0.0..60.0).contains(&value), "{value} seconds");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<BTreeMap<String, Arc<Number>>>>);

impl Numbers {
    fn number(&self, key: &Key) -> Arc<Number> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn of(&self, name: &str) -> i64 {
        self.0.lock().unwrap().get(name).map_or(-1, |number| number.0.load(Ordering::SeqCst))
    }
}

impl Recorder for Numbers {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.number(key))
    }
}

#[test]
fn the_facade_gets_the_numbers_of_the_pool() {
    let numbers = Numbers::default();
    metrics::set_global_recorder(numbers.clone()).unwrap();
    let engine = || {
        TestEngine::new()
            .operation("echo", |payload| Ok(payload.to_vec()))
            .operation("fail", |_| Err("no".into()))
            .operation("trap", |_| std::panic::resume_unwind(Box::new("boom")))
    };
    let factory = TestFactory::new(engine()).module("next", engine());
    let pool = HostPool::builder(Arc::new(factory)).name("greeter").min(2).max(2).build_blocking().unwrap();
    for _ in 0..5 {
        pool.call_blocking("echo", b"").unwrap();
    }
    pool.call_blocking("fail", b"").unwrap_err();
    pool.call_blocking("trap", b"").unwrap_err();
    eventually(&pool, "rebuilt", |stats| stats.rebuilds == 1 && stats.idle == 2);
    pool.replace_blocking(b"next").unwrap();
    let calls =
        |outcome: &str| numbers.of(&format!("antiphon_pool_calls_total{{pool=greeter,outcome={outcome}}}"));
    assert_eq!((calls("ok"), calls("guest_failed"), calls("trapped"), calls("dropped")), (5, 1, 1, 0));
    let of = |name: &str| numbers.of(&format!("antiphon_pool_{name}{{pool=greeter}}"));
    assert_eq!((of("rebuilds_total"), of("failed_starts_total"), of("replacements_total")), (1, 0, 1));
    assert_eq!((of("instances"), of("busy"), of("starting"), of("queued")), (2, 0, 0, 0));
    assert_eq!(of("run_seconds"), 7);
    drop(pool);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while of("instances") != 0 {
        assert!(std::time::Instant::now() < patience, "{} instances", of("instances"));
        std::thread::yield_now();
    }
}

#[test]
fn a_named_pool_registers_its_own_numbers_and_no_others() {
    for name in ["greeter", "antiphon"] {
        let numbers = Numbers::default();
        let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
        let pool = metrics::with_local_recorder(&numbers, || {
            HostPool::builder(Arc::new(TestFactory::new(engine))).name(name).max(1).build_blocking().unwrap()
        });
        let registered: Vec<_> = numbers.0.lock().unwrap().keys().cloned().collect();
        assert_eq!(registered.len(), 11, "{registered:?}");
        let label = format!("{{pool={name}");
        assert!(registered.iter().all(|key| key.contains(&label)), "{registered:?}");
        drop(pool);
    }
}

/// Panics on every call while it is armed.
struct Bomb(Arc<AtomicBool>);

impl Bomb {
    fn work(&self) {
        if self.0.load(Ordering::SeqCst) && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("no more numbers"));
        }
    }
}

impl CounterFn for Bomb {
    fn increment(&self, _value: u64) {
        self.work();
    }

    fn absolute(&self, _value: u64) {
        self.work();
    }
}

impl GaugeFn for Bomb {
    fn increment(&self, _value: f64) {
        self.work();
    }

    fn decrement(&self, _value: f64) {
        self.work();
    }

    fn set(&self, _value: f64) {
        self.work();
    }
}

impl HistogramFn for Bomb {
    fn record(&self, _value: f64) {
        self.work();
    }
}

struct Bombs(Arc<AtomicBool>);

impl Recorder for Bombs {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Bomb(Arc::clone(&self.0))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Bomb(Arc::clone(&self.0))))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Bomb(Arc::clone(&self.0))))
    }
}

#[test]
fn a_recorder_that_panics_costs_neither_a_call_nor_a_place() {
    let armed = Arc::new(AtomicBool::new(false));
    let engine = TestEngine::new()
        .operation("echo", |payload| Ok(payload.to_vec()))
        .operation("trap", |_| std::panic::resume_unwind(Box::new("boom")));
    let pool = metrics::with_local_recorder(&Bombs(Arc::clone(&armed)), || {
        HostPool::builder(Arc::new(TestFactory::new(engine))).min(1).max(1).build_blocking().unwrap()
    });
    armed.store(true, Ordering::SeqCst);
    for round in 0..5_u8 {
        assert_eq!(pool.call_blocking("echo", &[round]).unwrap(), [round]);
        // A thread of the pools rebuilds the instance, and has to go on as well.
        pool.call_blocking("trap", b"").unwrap_err();
        eventually(&pool, "it is there again", |stats| stats.idle == 1);
    }
    assert_eq!((pool.stats().calls, pool.stats().rebuilds), (10, 5));
}
