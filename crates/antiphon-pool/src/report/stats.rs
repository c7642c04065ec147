//! What a pool has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use antiphon::errors::ErrorKind;

use super::histogram::{Histogram, Recorder};

/// The state of a pool and what it has done since it was built: [`HostPool::stats`](crate::HostPool::stats).
///
/// The numbers are read one after the other while calls go on; they need not fit together to the last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Instances that are free.
    pub idle: usize,
    /// Instances that serve a call.
    pub busy: usize,
    /// Instances that are being started.
    pub starting: usize,
    /// The most instances that there may be.
    pub max: usize,
    /// Calls that wait for an instance.
    pub queued: usize,
    /// Calls that got an instance, whatever became of them.
    pub calls: u64,
    /// Calls that ended in an error, by its kind; those that got no instance too.
    pub errors: Vec<(ErrorKind, u64)>,
    /// Calls that their callers dropped while they ran.
    pub dropped: u64,
    /// Instances that were started in the place of one that was lost or had served its calls.
    pub rebuilds: u64,
    /// Starts of instances that failed.
    pub failed_starts: u64,
    /// How often another module took over.
    pub replaced: u64,
    /// How long calls waited for an instance: those that got one.
    pub wait: Histogram,
    /// How long they ran, from when they got it.
    pub run: Histogram,
    /// The versions of the module that served: the last sixteen that are gone, and those that are not, oldest first.
    pub versions: Vec<VersionStats>,
}

impl PoolStats {
    /// How many calls ended in an error of that kind.
    #[must_use]
    pub fn errors_of(&self, kind: ErrorKind) -> u64 {
        self.errors.iter().find(|(known, _)| *known == kind).map_or(0, |(_, count)| *count)
    }

    /// How many guests trapped.
    #[must_use]
    pub fn traps(&self) -> u64 {
        self.errors_of(ErrorKind::Trapped)
    }
}

/// What one version of the module did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionStats {
    /// Its number: 1 for the module that the pool was built with, and more for each later one.
    pub number: u64,
    /// Calls that it served, whatever became of them.
    pub calls: u64,
    /// Calls that their callers dropped while they ran.
    pub dropped: u64,
    /// Calls that ended in an error, by its kind.
    pub errors: Vec<(ErrorKind, u64)>,
    /// How long its calls ran.
    pub run: Histogram,
}

impl VersionStats {
    /// How many calls ended in an error of that kind.
    #[must_use]
    pub fn errors_of(&self, kind: ErrorKind) -> u64 {
        self.errors.iter().find(|(known, _)| *known == kind).map_or(0, |(_, count)| *count)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.dropped = self.dropped.saturating_add(other.dropped);
        for (kind, count) in &other.errors {
            add_error(&mut self.errors, *kind, *count);
        }
        Histogram::add(&mut self.run, &other.run);
    }
}

/// Errors by kind, counted by anybody.
pub(crate) struct Errors(Box<[AtomicU64]>);

impl Default for Errors {
    fn default() -> Self {
        Self(ErrorKind::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Errors {
    #[cold]
    pub(crate) fn count(&self, kind: ErrorKind) {
        let found = ErrorKind::ALL.iter().position(|known| *known == kind);
        if let Some(counter) = found.and_then(|found| self.0.get(found)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_to(&self, errors: &mut Vec<(ErrorKind, u64)>) {
        for (kind, counter) in ErrorKind::ALL.iter().zip(&self.0) {
            add_error(errors, *kind, counter.load(Ordering::Relaxed));
        }
    }
}

fn add_error(errors: &mut Vec<(ErrorKind, u64)>, kind: ErrorKind, count: u64) {
    if count == 0 {
        return;
    }
    match errors.iter_mut().find(|(known, _)| *known == kind) {
        Some((_, sum)) => *sum = sum.saturating_add(count),
        None => errors.push((kind, count)),
    }
}

/// What is counted of no version.
#[derive(Default)]
pub(crate) struct Tally {
    /// Calls that never got an instance.
    pub(crate) refused: Errors,
    /// The waits of those that did.
    pub(crate) waits: Recorder,
    pub(crate) rebuilds: AtomicU64,
    pub(crate) failed_starts: AtomicU64,
    pub(crate) replaced: AtomicU64,
}
