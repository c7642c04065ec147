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
    /// What was counted in each place of the pool.
    places: Box<[Counted]>,
    history: Weak<History>,
}

/// What was counted for one version in one place. Only the holder of the place's instance writes,
/// so there is one writer at a time.
#[repr(align(128))]
#[derive(Default)]
struct Counted {
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
        places: usize,
    ) -> Arc<Self> {
        let version = Arc::new(Self {
            number,
            factory,
            deadline: OnceLock::new(),
            places: (0..places).map(|_| Counted::default()).collect(),
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

    /// Counts a call that has ended in a place. Only the holder of the place may call this.
    #[inline]
    pub(crate) fn count(&self, place: usize, run: Duration, error: Option<&Error>) {
        let Some(counted) = self.places.get(place) else { return };
        add_alone(&counted.calls);
        counted.run.record_alone(run);
        if let Some(error) = error {
            counted.errors.count(error.kind());
        }
    }

    /// Counts a call that its caller dropped while it ran in a place. Only the holder of the place
    /// may call this.
    pub(crate) fn count_dropped(&self, place: usize) {
        let Some(counted) = self.places.get(place) else { return };
        add_alone(&counted.calls);
        add_alone(&counted.dropped);
    }

    pub(crate) fn stats(&self) -> VersionStats {
        let mut stats = VersionStats { number: self.number, ..VersionStats::default() };
        for counted in &self.places {
            stats.calls = stats.calls.saturating_add(counted.calls.load(Ordering::Relaxed));
            stats.dropped = stats.dropped.saturating_add(counted.dropped.load(Ordering::Relaxed));
            counted.errors.add_to(&mut stats.errors);
            stats.run.add(&counted.run.snapshot());
        }
        stats
    }
}

/// Adds one without an atomic exchange, because only the holder of a place writes.
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
