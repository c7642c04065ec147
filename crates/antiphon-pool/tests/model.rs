//! A model of the hand-over of instances, in every order in which threads can meet. There is no
//! deadlock, no instance is lost, no instance of an old version is handed out after a replacement,
//! and nothing is left after a drain.
//!
//! The queue's own source is compiled here over loom's locks and atomics. A slot is a lock in the
//! model, because its exchange is ordered after the one before it, as a lock is.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![allow(dead_code, reason = "the models do not use all of the queue")]

#[path = "../src/queue/handover.rs"]
mod handover;
#[path = "../src/queue/places.rs"]
mod places;
#[path = "../src/queue/state.rs"]
mod state;
#[path = "../src/queue/ticket.rs"]
mod ticket;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    pub(crate) struct Slot<T>(Mutex<Option<Box<T>>>);

    impl<T> Slot<T> {
        pub(crate) fn empty() -> Self {
            Self(Mutex::new(None))
        }

        pub(crate) fn take(&self) -> Option<Box<T>> {
            self.0.lock().unwrap().take()
        }

        pub(crate) fn put(&self, value: Box<T>) {
            let old = self.0.lock().unwrap().replace(value);
            assert!(old.is_none(), "two instances in one place");
        }
    }

    pub(crate) fn hint() -> usize {
        0
    }

    pub(crate) fn set_hint(_place: usize) {}

    pub(crate) fn survive(work: impl FnOnce()) {
        work();
    }
}

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::thread;

use handover::Queue;
use places::{Bounds, Callers, Held, Serves};
use state::Counts;
use ticket::Refusal;

/// What a call runs in. How many exist and how many run is counted outside the model.
struct Instance {
    version: u64,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    alive: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
    /// Not 0 while starts fail.
    starts_fail: AtomicUsize,
}

impl Instance {
    fn new(version: u64, world: &Arc<World>) -> Box<Self> {
        world.alive.fetch_add(1, Ordering::SeqCst);
        Box::new(Self { version, world: Arc::clone(world) })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.world.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Serves for Instance {
    type Version = u64;
    type Failure = &'static str;
    type Callers = Vec<u64>;

    fn version(&self) -> u64 {
        self.version
    }
}

/// The numbers of the instances whose calls wait.
impl Callers for Vec<u64> {
    fn include(&self, instance: u64) -> bool {
        self.contains(&instance)
    }
}

/// A queue whose keeper does its chores on the thread that calls it.
struct Pool {
    queue: Arc<Queue<Instance>>,
    world: Arc<World>,
}

impl Pool {
    /// Creates a queue with instances of version 1.
    fn new(places: usize, started: usize) -> Self {
        let world = Arc::new(World::default());
        let us: Arc<Mutex<Weak<Queue<Instance>>>> = Arc::default();
        let bounds = Bounds { places, kept: started, waiting: 4 };
        let queue = Arc::new(Queue::new(bounds, (1, 1), {
            let (us, world) = (Arc::clone(&us), Arc::clone(&world));
            move || {
                let queue = us.lock().unwrap().upgrade();
                if let Some(queue) = queue.filter(|queue| !queue.is_failing()) {
                    tend(&queue, &world);
                }
            }
        }));
        queue.switch((1, 1), (0..started).map(|_| Instance::new(1, &world)).collect()).unwrap();
        *us.lock().unwrap() = Arc::downgrade(&queue);
        Self { queue, world }
    }

    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), world: Arc::clone(&self.world) }
    }

    /// Takes an instance as a call does.
    fn take(&self) -> Result<Held<Instance>, Refusal<&'static str>> {
        let held = match self.queue.try_take() {
            Some(held) => held,
            None => block_on(self.queue.enter(false, Vec::new()))?,
        };
        let running = self.world.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.world.most_running.fetch_max(running, Ordering::SeqCst);
        Ok(held)
    }

    fn put(&self, held: Held<Instance>) {
        self.world.running.fetch_sub(1, Ordering::SeqCst);
        self.queue.put(held);
    }

    /// Makes a call that ends well, and returns the version that served it.
    fn call(&self) -> Result<u64, Refusal<&'static str>> {
        let held = self.take()?;
        let version = held.value.version;
        thread::yield_now();
        self.put(held);
        Ok(version)
    }

    /// Makes a call whose handler calls the pool, in the instance of this number.
    fn nest(&self, instance: u64) -> Result<u64, Refusal<&'static str>> {
        let outer = self.take()?;
        self.queue.occupy(outer.place, instance);
        let inner = match self.queue.try_take() {
            Some(held) => Ok(held),
            None => block_on(self.queue.enter(false, vec![instance])),
        };
        let ended = inner.map(|held| {
            let version = held.value.version;
            self.queue.put(held);
            version
        });
        self.put(outer);
        ended
    }

    /// Makes a call that costs its instance.
    fn trap(&self) -> Result<(), Refusal<&'static str>> {
        let Held { place, value } = self.take()?;
        self.world.running.fetch_sub(1, Ordering::SeqCst);
        drop(value);
        self.queue.give_up(place);
        Ok(())
    }

    fn alive(&self) -> usize {
        self.world.alive.load(Ordering::SeqCst)
    }

    /// Checks that this many instances are free after everything, and no more are alive.
    fn is_at_rest_with(&self, idle: usize) {
        assert_eq!(self.queue.counts(), Counts { idle, busy: 0, starting: 0, waiting: 0 });
        assert_eq!(self.alive(), idle);
        let held: Vec<_> = std::iter::from_fn(|| self.queue.try_take()).collect();
        assert_eq!(held.len(), idle, "an instance is in no slot");
    }
}

fn tend(queue: &Queue<Instance>, world: &Arc<World>) {
    while let Some((place, _, version)) = queue.next_start() {
        if world.starts_fail.load(Ordering::SeqCst) > 0 {
            // The real keeper waits before it tries again.
            return queue.start_failed(place, version, "no start");
        }
        queue.started(Held { place, value: Instance::new(version, world) });
    }
}

/// Checks every order with at most this many preemptions. `LOOM_MAX_PREEMPTIONS` sets more, which
/// takes minutes.
fn model_with(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(check);
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    model_with(2, check);
}

#[test]
fn one_instance_goes_from_call_to_call() {
    model(|| {
        let pool = Pool::new(1, 1);
        let threads = [(); 2].map(|()| {
            let pool = pool.clone();
            thread::spawn(move || pool.call().unwrap())
        });
        assert_eq!(pool.call(), Ok(1));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1);
        }
        assert_eq!(pool.world.most_running.load(Ordering::SeqCst), 1);
        pool.is_at_rest_with(1);
    });
}

#[test]
fn a_turn_that_comes_to_one_who_leaves_is_handed_on() {
    model(|| {
        let pool = Pool::new(1, 1);
        let held = pool.take().unwrap();
        let leaver = thread::spawn({
            let pool = pool.clone();
            move || {
                let mut entering = pin!(pool.queue.enter(false, Vec::new()));
                if let std::task::Poll::Ready(turn) =
                    entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                {
                    pool.queue.put(turn.unwrap());
                }
            }
        });
        let waiter = thread::spawn({
            let pool = pool.clone();
            move || pool.call().unwrap()
        });
        pool.put(held);
        leaver.join().unwrap();
        assert_eq!(waiter.join().unwrap(), 1);
        pool.is_at_rest_with(1);
    });
}

#[test]
fn a_place_that_lost_its_instance_gets_another_one() {
    model(|| {
        let pool = Pool::new(1, 1);
        let trap = thread::spawn({
            let pool = pool.clone();
            move || pool.trap().unwrap()
        });
        assert_eq!(pool.call(), Ok(1));
        trap.join().unwrap();
        assert_eq!(pool.world.most_running.load(Ordering::SeqCst), 1);
        pool.is_at_rest_with(1);
    });
}

#[test]
fn who_waits_is_told_when_nothing_can_be_started() {
    model(|| {
        let pool = Pool::new(1, 1);
        pool.world.starts_fail.store(1, Ordering::SeqCst);
        let trap = thread::spawn({
            let pool = pool.clone();
            move || pool.trap()
        });
        let called = pool.call();
        assert!(matches!(called, Ok(1) | Err(Refusal::Failing("no start"))), "{called:?}");
        let trapped = trap.join().unwrap();
        assert!(trapped.is_ok(), "{trapped:?}");
        assert_eq!(pool.call(), Err(Refusal::Failing("no start")));
        pool.world.starts_fail.store(0, Ordering::SeqCst);
        tend(&pool.queue, &pool.world);
        assert_eq!(pool.call(), Ok(1));
        pool.is_at_rest_with(1);
    });
}

#[test]
fn a_call_after_a_replacement_is_served_by_the_new_version() {
    model(|| {
        let pool = Pool::new(1, 1);
        let caller = thread::spawn({
            let pool = pool.clone();
            move || (pool.call().unwrap(), pool.call().unwrap())
        });
        pool.queue.switch((2, 2), vec![Instance::new(2, &pool.world)]).unwrap();
        assert_eq!(pool.call(), Ok(2));
        let (first, second) = caller.join().unwrap();
        assert!(first <= second, "version {first} and then {second}");
        assert_eq!(pool.world.most_running.load(Ordering::SeqCst), 1);
        pool.is_at_rest_with(1);
        assert!(pool.queue.current() == 2);
    });
}

#[test]
fn an_instance_that_comes_back_from_an_old_version_serves_nobody() {
    model_with(4, || {
        let pool = Pool::new(1, 1);
        let held = pool.take().unwrap();
        let runner = thread::spawn({
            let pool = pool.clone();
            move || pool.put(held)
        });
        pool.queue.switch((2, 2), vec![Instance::new(2, &pool.world)]).unwrap();
        assert_eq!(pool.call(), Ok(2));
        runner.join().unwrap();
        pool.is_at_rest_with(1);
    });
}

#[test]
fn the_old_version_is_gone_when_its_last_call_is() {
    model_with(4, || {
        let pool = Pool::new(1, 1);
        let held = pool.take().unwrap();
        let runner = thread::spawn({
            let pool = pool.clone();
            move || pool.put(held)
        });
        pool.queue.switch((2, 2), vec![Instance::new(2, &pool.world)]).unwrap();
        runner.join().unwrap();
        pool.is_at_rest_with(1);
    });
}

#[test]
fn of_two_replacements_the_later_one_serves() {
    model(|| {
        let pool = Pool::new(1, 1);
        let other = thread::spawn({
            let pool = pool.clone();
            move || pool.queue.switch((3, 3), vec![Instance::new(3, &pool.world)]).unwrap()
        });
        pool.queue.switch((2, 2), vec![Instance::new(2, &pool.world)]).unwrap();
        assert!(pool.call().unwrap() >= 2);
        other.join().unwrap();
        assert_eq!(pool.call(), Ok(3));
        pool.is_at_rest_with(1);
    });
}

#[test]
fn nothing_is_left_after_a_drain_and_who_waited_was_served() {
    model(|| {
        let pool = Pool::new(1, 1);
        let held = pool.take().unwrap();
        let caller = thread::spawn({
            let pool = pool.clone();
            move || pool.call()
        });
        let runner = thread::spawn({
            let pool = pool.clone();
            move || pool.put(held)
        });
        pool.queue.close();
        block_on(pool.queue.ended());
        let called = caller.join().unwrap();
        assert!(matches!(called, Ok(1) | Err(Refusal::Closed)), "{called:?}");
        runner.join().unwrap();
        assert_eq!(pool.call(), Err(Refusal::Closed));
        pool.is_at_rest_with(0);
    });
}

#[test]
fn a_call_that_runs_may_call_the_pool_while_it_drains() {
    model(|| {
        let pool = Pool::new(2, 2);
        let outer = pool.take().unwrap();
        pool.queue.occupy(outer.place, 1);
        let closing = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.queue.close();
                block_on(pool.queue.ended());
            }
        });
        let inner = block_on(pool.queue.enter(false, vec![1]));
        pool.queue.put(inner.unwrap_or_else(|refusal| panic!("{refusal:?}")));
        pool.put(outer);
        closing.join().unwrap();
        assert_eq!(pool.call(), Err(Refusal::Closed));
        pool.is_at_rest_with(0);
    });
}

#[test]
fn who_still_waits_is_cut_off() {
    model(|| {
        let pool = Pool::new(1, 1);
        let held = pool.take().unwrap();
        let caller = thread::spawn({
            let pool = pool.clone();
            move || pool.call()
        });
        pool.queue.close();
        let cut = pool.queue.cut();
        let called = caller.join().unwrap();
        match called {
            Err(Refusal::Cut) => assert_eq!(cut, 1),
            Err(Refusal::Closed) => assert_eq!(cut, 0),
            other => panic!("{other:?}"),
        }
        pool.put(held);
        block_on(pool.queue.ended());
        pool.is_at_rest_with(0);
    });
}

#[test]
fn a_replacement_and_a_drain_leave_nothing() {
    model(|| {
        let pool = Pool::new(1, 1);
        let caller = thread::spawn({
            let pool = pool.clone();
            move || pool.call()
        });
        let replacing = thread::spawn({
            let pool = pool.clone();
            move || pool.queue.switch((2, 2), vec![Instance::new(2, &pool.world)])
        });
        pool.queue.close();
        block_on(pool.queue.ended());
        let called = caller.join().unwrap();
        assert!(matches!(called, Ok(1 | 2) | Err(Refusal::Closed)), "{called:?}");
        let replaced = replacing.join().unwrap();
        assert!(matches!(replaced, Ok(()) | Err(Refusal::Closed)), "{replaced:?}");
        pool.is_at_rest_with(0);
    });
}

#[test]
fn idle_instances_are_dropped_and_who_comes_meanwhile_is_served() {
    model(|| {
        let pool = Pool::new(2, 1);
        let caller = thread::spawn({
            let pool = pool.clone();
            move || (pool.call().unwrap(), pool.call().unwrap())
        });
        assert_eq!(pool.call(), Ok(1));
        pool.queue.reap(|_| true);
        caller.join().unwrap();
        pool.queue.reap(|_| true);
        pool.is_at_rest_with(1);
    });
}

#[test]
fn an_instance_that_comes_back_for_somebody_is_not_idle() {
    model_with(3, || {
        let pool = Pool::new(1, 0);
        let held = pool.take().unwrap();
        let runner = thread::spawn({
            let pool = pool.clone();
            move || pool.put(held)
        });
        let caller = thread::spawn({
            let pool = pool.clone();
            move || pool.call().unwrap()
        });
        pool.queue.reap(|_| true);
        runner.join().unwrap();
        assert_eq!(caller.join().unwrap(), 1);
        pool.queue.reap(|_| true);
        pool.is_at_rest_with(0);
    });
}

#[test]
fn of_two_calls_that_want_another_instance_one_is_refused_and_nobody_waits_for_ever() {
    model(|| {
        let pool = Pool::new(2, 2);
        let other = thread::spawn({
            let pool = pool.clone();
            move || pool.nest(1)
        });
        let ended = [pool.nest(2), other.join().unwrap()];
        assert!(ended.contains(&Ok(1)), "{ended:?}");
        assert!(ended.iter().all(|ended| matches!(ended, Ok(1) | Err(Refusal::Circle))), "{ended:?}");
        pool.is_at_rest_with(2);
    });
}

#[test]
fn a_call_that_wants_another_instance_gets_that_of_one_who_wants_none() {
    model(|| {
        let pool = Pool::new(2, 2);
        let other = thread::spawn({
            let pool = pool.clone();
            move || pool.call()
        });
        assert_eq!(pool.nest(1), Ok(1));
        assert_eq!(other.join().unwrap(), Ok(1));
        pool.is_at_rest_with(2);
    });
}

#[test]
fn a_call_that_wants_another_instance_gets_one_in_the_place_of_one_that_is_lost() {
    model(|| {
        let pool = Pool::new(2, 2);
        let other = thread::spawn({
            let pool = pool.clone();
            move || pool.trap()
        });
        assert_eq!(pool.nest(1), Ok(1));
        other.join().unwrap().unwrap();
        pool.is_at_rest_with(2);
    });
}

#[test]
fn who_leaves_the_queue_does_not_close_a_circle() {
    model(|| {
        let pool = Pool::new(2, 2);
        let [ours, theirs] = [pool.take().unwrap(), pool.take().unwrap()];
        pool.queue.occupy(ours.place, 1);
        pool.queue.occupy(theirs.place, 2);
        let other = thread::spawn({
            let pool = pool.clone();
            move || {
                // Waits, and gives up.
                let turn = pin!(pool.queue.enter(false, vec![2]))
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                if let std::task::Poll::Ready(Ok(held)) = turn {
                    pool.queue.put(held);
                }
                pool.put(theirs);
            }
        });
        // While the other call waits, this one may be refused; it never waits forever.
        match block_on(pool.queue.enter(false, vec![1])) {
            Ok(held) => pool.queue.put(held),
            Err(refusal) => assert_eq!(refusal, Refusal::Circle),
        }
        other.join().unwrap();
        match block_on(pool.queue.enter(false, vec![1])) {
            Ok(held) => pool.queue.put(held),
            Err(refusal) => panic!("nobody waits any more: {refusal:?}"),
        }
        pool.put(ours);
        pool.is_at_rest_with(2);
    });
}
