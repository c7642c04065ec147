//! What the keeper does: starts, and the end of instances that are idle.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use antiphon::block_on;
use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::ticker::{self, TICK, survive};

use super::crew::Then;
use crate::instance::Instance;
use crate::queue::{Held, Queue, Wanted};
use crate::shared::Inner;
use crate::version::Version;

/// The shortest time until a round of chores that nothing has called for, so that no thread spins.
pub(super) const PAUSE: Duration = TICK;

/// What the keeper remembers from one round to the next.
#[derive(Default)]
pub(super) struct Chores {
    /// When the next start may be tried, and how long the pause after that one is.
    retry: Option<(Instant, Duration)>,
    next_reap: Option<Instant>,
}

impl Chores {
    /// Does what is due, but starts one instance at most: other pools wait for the thread.
    pub(super) fn run(&mut self, pool: &Arc<Inner>) -> Then {
        // Starts nothing more for a pool that only this thread still holds.
        let is_gone = || Arc::strong_count(pool) == 1;
        let started = !is_gone() && block_on(self.start_one(pool, is_gone));
        let reap = self.reap(pool);
        if started {
            return Then::Again;
        }
        let retry = self.retry.map(|(at, _)| at).filter(|_| pool.queue.is_failing());
        [reap, retry].into_iter().flatten().min().map_or(Then::Called, Then::At)
    }

    /// Starts one instance, if one is due and the pool is not gone in the meantime. Returns whether
    /// one was due.
    pub(super) async fn start_one(&mut self, pool: &Inner, is_gone: impl Fn() -> bool) -> bool {
        if !pool.queue.is_failing() {
            self.retry = None;
        }
        if self.retry.is_none_or(|(at, _)| at <= Instant::now())
            && let Some((place, why, version)) = pool.queue.next_start()
        {
            let starting = Starting::new(&pool.queue, place, version);
            self.start(pool, (starting, why), is_gone).await;
            return true;
        }
        false
    }

    /// Starts an instance, unless the pool is gone in the meantime.
    async fn start(
        &mut self,
        pool: &Inner,
        (starting, why): (Starting<'_>, Wanted),
        is_gone: impl Fn() -> bool,
    ) {
        let version = Arc::clone(&starting.version);
        let mut start = pin!(unless_gone(is_gone, pool.blueprint.start(version)));
        let started = poll_fn(|cx| {
            let panicked = "the engine panicked while it started an instance";
            let mut polled = Poll::Ready(Some(Err(Error::new(ErrorKind::Engine, panicked))));
            survive(|| polled = start.as_mut().poll(cx));
            polled
        });
        match started.await {
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

/// How often the keeper checks whether the pool still has a user during a start, and a caller that
/// takes its part whether there is something to start.
pub(crate) const LOOK: Duration = TICK.saturating_mul(4);

/// Gives up a start when the pool has no user left but the keeper. We poll the reference count,
/// because the last user has no moment to signal: before its drop the pool is alive, and after it
/// nothing is left to signal with.
async fn unless_gone<T>(
    is_gone: impl Fn() -> bool,
    start: impl Future<Output = Result<T>>,
) -> Option<Result<T>> {
    let mut start = pin!(start);
    loop {
        if let Some(started) = ticker::within(LOOK, start.as_mut()).await {
            return Some(started);
        }
        if is_gone() {
            return None;
        }
    }
}
