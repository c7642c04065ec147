//! A module that serves or has served, with its counters.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use antiphon::EngineProviderFactory;
use antiphon::errors::Error;

use crate::report::{Errors, Recorder, VersionStats};
use crate::sync::{Mutex, MutexGuard, lock};

/// How many versions that are gone are kept in the statistics one by one.
const REMEMBERED: usize = 16;

/// A module that instances are started from. It is dropped with the last of them.
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) factory: Arc<dyn EngineProviderFactory>,
    /// The deadline of a call that sets none. The first instance tells it.
    deadline: OnceLock<Duration>,
    /// What was counted in the instances of the version: as many as ever lived at once.
    counted: Mutex<Vec<Arc<Counted>>>,
    history: Weak<History>,
}

/// What was counted in one instance after the other. Only the holder of the instance writes, so
/// there is one writer at a time. It has its own cache lines, as an instance has.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Counted {
    calls: AtomicU64,
    dropped: AtomicU64,
    errors: Errors,
    run: Recorder,
}

impl Version {
    pub(crate) fn new(
        number: u64,
        factory: Arc<dyn EngineProviderFactory>,
        history: &Arc<History>,
    ) -> Arc<Self> {
        let version = Arc::new(Self {
            number,
            factory,
            deadline: OnceLock::new(),
            counted: Mutex::default(),
            history: Arc::downgrade(history),
        });
        let mut known = history.known();
        known.alive.retain(|version| version.strong_count() > 0);
        known.alive.push(Arc::downgrade(&version));
        drop(known);
        version
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline.get().copied().unwrap_or_else(|| antiphon::default_limits().deadline_or_default())
    }

    pub(crate) fn set_deadline(&self, deadline: Duration) {
        let _ = self.deadline.set(deadline);
    }

    /// Returns what a new instance counts in: what an instance that is gone has counted in, if any.
    pub(crate) fn counted(&self) -> Arc<Counted> {
        let mut all = lock(&self.counted);
        let unused =
            |counted: &mut Arc<Counted>| Arc::get_mut(counted).is_some().then(|| Arc::clone(counted));
        all.iter_mut().find_map(unused).unwrap_or_else(|| {
            let new = Arc::<Counted>::default();
            all.push(Arc::clone(&new));
            new
        })
    }

    pub(crate) fn stats(&self) -> VersionStats {
        let mut stats = VersionStats { number: self.number, ..VersionStats::default() };
        for counted in &*lock(&self.counted) {
            stats.calls = stats.calls.saturating_add(counted.calls.load(Ordering::Relaxed));
            stats.dropped = stats.dropped.saturating_add(counted.dropped.load(Ordering::Relaxed));
            counted.errors.add_to(&mut stats.errors);
            stats.run.add(&counted.run.snapshot());
        }
        stats
    }
}

impl Counted {
    /// Counts a call that has ended. Only the holder of the instance may call this.
    #[inline]
    pub(crate) fn count(&self, run: Duration, error: Option<&Error>) {
        add_alone(&self.calls);
        self.run.record_alone(run);
        if let Some(error) = error {
            self.errors.count(error.kind());
        }
    }

    /// Counts a call that its caller dropped while it ran. Only the holder of the instance may call
    /// this.
    pub(crate) fn count_dropped(&self) {
        add_alone(&self.calls);
        add_alone(&self.dropped);
    }
}

/// Adds one without an atomic exchange, because only the holder of an instance writes.
#[inline]
fn add_alone(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl Drop for Version {
    fn drop(&mut self) {
        if let Some(history) = self.history.upgrade() {
            let stats = self.stats();
            history.known().remember(stats);
        }
    }
}

/// All versions of a pool.
#[derive(Default)]
pub(crate) struct History(Mutex<Known>);

#[derive(Default)]
pub(crate) struct Known {
    alive: Vec<Weak<Version>>,
    gone: VecDeque<VersionStats>,
    /// The sum of the versions that are no longer kept one by one.
    forgotten: VersionStats,
}

impl History {
    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.0)
    }

    /// Returns the versions that are still known, oldest first, and the sum of all versions.
    pub(crate) fn stats(&self) -> (Vec<VersionStats>, VersionStats) {
        let (alive, mut versions, mut total) = {
            let known = self.known();
            let alive: Vec<_> = known.alive.iter().filter_map(Weak::upgrade).collect();
            (alive, Vec::from(known.gone.clone()), known.forgotten.clone())
        };
        // The lock is released first, because dropping the last reference to a version takes it.
        versions.extend(alive.iter().map(|version| version.stats()));
        drop(alive);
        versions.sort_by_key(|version| version.number);
        for version in &versions {
            total.add(version);
        }
        (versions, total)
    }
}

impl Known {
    fn remember(&mut self, stats: VersionStats) {
        // A version that never served is not remembered.
        if stats.calls > 0 {
            self.gone.push_back(stats);
        }
        if self.gone.len() > REMEMBERED
            && let Some(oldest) = self.gone.pop_front()
        {
            self.forgotten.add(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use antiphon::testing::{TestEngine, TestFactory};

    use super::*;

    #[test]
    fn what_an_instance_has_counted_outlives_it_and_its_successor_counts_on() {
        let history = Arc::<History>::default();
        let version = Version::new(1, Arc::new(TestFactory::new(TestEngine::new())), &history);
        let (first, second) = (version.counted(), version.counted());
        assert!(!Arc::ptr_eq(&first, &second));
        first.count(Duration::from_micros(1), None);
        second.count_dropped();
        let gone = Arc::as_ptr(&first);
        drop(first);
        let third = version.counted();
        assert_eq!(gone, Arc::as_ptr(&third));
        third.count(Duration::from_micros(1), None);
        let stats = version.stats();
        assert_eq!((stats.calls, stats.dropped, stats.run.count()), (3, 1, 2));
        assert_eq!(lock(&version.counted).len(), 2);
    }
}
