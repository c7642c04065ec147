//! The keeper: the thread that starts instances, replaces lost ones, and drops idle ones.
//!
//! Only the keeper starts instances. So no caller waits for the repair of an instance that another
//! caller broke, failed starts back off in one place, a module that does not start is tried by one
//! thread only, and lost capacity comes back by itself. The price is a thread switch when the pool
//! grows, which a call that has to wait pays anyway. With isolation per call the host starts each
//! instance itself, in its caller's time; the pool then keeps hosts without an instance.
//!
//! The thread starts with the first chore, sleeps while there is none, and ends with the pool,
//! which it does not keep alive.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use antiphon::block_on;
use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::ticker::{self, TICK, survive};

use crate::instance::Instance;
use crate::pool::Inner;
use crate::queue::Queue;
use crate::state::Wanted;
use crate::ticket::Held;
use crate::version::Version;

/// The shortest time between two rounds of chores, so that the keeper never spins.
const PAUSE: Duration = TICK;

/// Wakes the keeper.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Whether the bell was rung since the keeper last looked.
    rung: AtomicBool,
    thread: OnceLock<Thread>,
    /// The pool that the thread serves. The lock is held while the thread is being started.
    pool: Mutex<Weak<Inner>>,
}

impl Bell {
    pub(crate) fn hang_up(&self, pool: Weak<Inner>) {
        *self.0.pool.lock().unwrap_or_else(PoisonError::into_inner) = pool;
    }

    /// Tells the keeper that there may be something to do, and starts its thread if there is none.
    pub(crate) fn ring(&self) {
        self.0.rung.store(true, Ordering::SeqCst);
        match self.0.thread.get() {
            Some(thread) => thread.unpark(),
            None => self.start(),
        }
    }

    /// Wakes the keeper when the pool is gone, so that its thread ends.
    pub(crate) fn wake(&self) {
        self.0.rung.store(true, Ordering::SeqCst);
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    #[cold]
    fn start(&self) {
        let pool = self.0.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = self.0.thread.get() {
            // Another caller has started the thread in between; it may already be asleep.
            return thread.unpark();
        }
        if pool.strong_count() == 0 {
            return;
        }
        let (weak, bell) = (Weak::clone(&pool), self.clone());
        // If no thread can be started, waiting calls wait until their deadlines; the next ring
        // tries again.
        if let Ok(handle) =
            thread::Builder::new().name("antiphon-pool".into()).spawn(move || bell.serve(&weak))
        {
            let _ = self.0.thread.set(handle.thread().clone());
        }
    }

    fn serve(&self, pool: &Weak<Inner>) {
        let mut chores = Chores::default();
        loop {
            self.0.rung.store(false, Ordering::SeqCst);
            let Some(pool) = pool.upgrade() else { return };
            let mut next = Instant::now().checked_add(PAUSE);
            survive(|| next = chores.run(&pool));
            // This may drop the last reference to the pool; the next round then ends the thread.
            drop(pool);
            while !self.0.rung.load(Ordering::SeqCst) {
                match next.map(|at| at.saturating_duration_since(Instant::now())) {
                    Some(Duration::ZERO) => break,
                    Some(time) => thread::park_timeout(time),
                    None => thread::park(),
                }
            }
        }
    }
}

/// What the keeper remembers from one round to the next.
#[derive(Default)]
struct Chores {
    /// When the next start may be tried, and how long the pause after that one is.
    retry: Option<(Instant, Duration)>,
    next_reap: Option<Instant>,
}

impl Chores {
    /// Does all chores that are due, and returns when more may be due.
    fn run(&mut self, pool: &Arc<Inner>) -> Option<Instant> {
        if !pool.queue.is_failing() {
            self.retry = None;
        }
        // Starts nothing more for a pool that only this thread still holds.
        while Arc::strong_count(pool) > 1 && self.retry.is_none_or(|(at, _)| at <= Instant::now()) {
            let Some((place, why, version)) = pool.queue.next_start() else { break };
            self.start(pool, Starting::new(&pool.queue, place, version), why);
        }
        let reap = self.reap(pool);
        let retry = self.retry.map(|(at, _)| at).filter(|_| pool.queue.is_failing());
        [reap, retry].into_iter().flatten().min()
    }

    fn start(&mut self, pool: &Arc<Inner>, starting: Starting<'_>, why: Wanted) {
        let version = Arc::clone(&starting.version);
        let panicked = "the engine panicked while it started an instance";
        let mut started = Some(Err(Error::new(ErrorKind::Engine, panicked)));
        survive(|| started = block_on(unless_gone(pool, pool.blueprint.start(version))));
        match started {
            // The pool is gone; the place is dropped with it.
            None => {}
            Some(Ok(value)) => {
                self.retry = None;
                if why == Wanted::Rebuild {
                    pool.tally.rebuilds.fetch_add(1, Ordering::Relaxed);
                    pool.blueprint.meters.rebuilt();
                }
                starting.succeeded(value);
            }
            Some(Err(error)) => {
                pool.tally.failed_starts.fetch_add(1, Ordering::Relaxed);
                pool.blueprint.meters.failed_start();
                let pause = self.retry.map_or(pool.settings.backoff.0, |(_, pause)| pause);
                let longest = pool.settings.backoff.1;
                self.retry =
                    Instant::now().checked_add(pause).map(|at| (at, pause.saturating_mul(2).min(longest)));
                starting.failed(error);
            }
        }
    }

    /// Drops idle instances. Looks twice within the time that an instance may be idle.
    fn reap(&mut self, pool: &Inner) -> Option<Instant> {
        let idle = pool.settings.idle;
        if self.next_reap.is_some_and(|at| at > Instant::now()) {
            return self.next_reap;
        }
        let is_first = self.next_reap.is_none();
        // The first look only finds out whether there are more instances than the pool keeps.
        let more = pool.queue.reap(|instance: &Instance| !is_first && instance.is_idle_for(idle));
        self.next_reap = if more { Instant::now().checked_add((idle / 2).max(PAUSE)) } else { None };
        self.next_reap
    }
}

/// A place that an instance is being started for. Its drop gives the place up, so that no place
/// stays in this state.
struct Starting<'a> {
    queue: &'a Queue<Instance>,
    place: Option<usize>,
    version: Arc<Version>,
}

impl<'a> Starting<'a> {
    fn new(queue: &'a Queue<Instance>, place: usize, version: Arc<Version>) -> Self {
        Self { queue, place: Some(place), version }
    }

    fn succeeded(mut self, value: Box<Instance>) {
        if let Some(place) = self.place.take() {
            self.queue.started(Held { place, value });
        }
    }

    fn failed(mut self, error: Error) {
        if let Some(place) = self.place.take() {
            self.queue.start_failed(place, self.version.number, Arc::new(error));
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.queue.give_up(place);
        }
    }
}

/// How often the keeper checks whether the pool still has a user during a start.
const LOOK: Duration = TICK.saturating_mul(4);

/// Gives up a start when the pool has no user left but the keeper. We poll the reference count,
/// because the last user has no moment to signal: before its drop the pool is alive, and after it
/// nothing is left to signal with.
async fn unless_gone<T>(pool: &Arc<Inner>, start: impl Future<Output = Result<T>>) -> Option<Result<T>> {
    let mut start = pin!(start);
    loop {
        if let Some(started) = ticker::within(LOOK, start.as_mut()).await {
            return Some(started);
        }
        if Arc::strong_count(pool) == 1 {
            return None;
        }
    }
}
