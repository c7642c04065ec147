//! What a pool has done, in numbers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon::errors::ErrorKind;

use super::histogram::{Histogram, Recorder};

/// The state of a pool and what it has done since it was built; see
/// [`HostPool::stats`](crate::HostPool::stats).
///
/// The numbers are read one by one while calls run, so they may differ from each other by a few
/// calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Instances that are free.
    pub idle: usize,
    /// Instances that serve a call.
    pub busy: usize,
    /// Instances that are being started.
    pub starting: usize,
    /// The largest number of instances.
    pub max: usize,
    /// Calls that wait for an instance.
    pub queued: usize,
    /// Calls that got an instance, whatever their result.
    pub calls: u64,
    /// Calls that ended in an error, by its kind, including those that got no instance.
    pub errors: Vec<(ErrorKind, u64)>,
    /// Calls that their callers dropped while they ran.
    pub dropped: u64,
    /// Instances that were started because the one before was lost or had served its number of
    /// calls.
    pub rebuilds: u64,
    /// Starts of instances that failed.
    pub failed_starts: u64,
    /// How often another module took over.
    pub replaced: u64,
    /// How long calls waited for an instance, for those that got one.
    pub wait: Histogram,
    /// How long calls ran, from the moment they got an instance.
    pub run: Histogram,
    /// The versions of the module that served, oldest first: all that still exist, and the last
    /// sixteen that are gone.
    pub versions: Vec<VersionStats>,
}

impl PoolStats {
    /// Returns how many calls ended in an error of this kind.
    #[must_use]
    pub fn errors_of(&self, kind: ErrorKind) -> u64 {
        self.errors.iter().find(|(known, _)| *known == kind).map_or(0, |(_, count)| *count)
    }

    /// Returns how many guests trapped.
    #[must_use]
    pub fn traps(&self) -> u64 {
        self.errors_of(ErrorKind::Trapped)
    }
}

/// What one version of the module did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionStats {
    /// The number of the version: 1 for the module that the pool was built with, and larger for
    /// each later one.
    pub number: u64,
    /// Calls that it served, whatever their result.
    pub calls: u64,
    /// Calls that their callers dropped while they ran.
    pub dropped: u64,
    /// Calls that ended in an error, by its kind.
    pub errors: Vec<(ErrorKind, u64)>,
    /// How long its calls ran.
    pub run: Histogram,
}

impl VersionStats {
    /// Returns how many calls ended in an error of this kind.
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

/// Counters of errors by kind; any thread may count.
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

/// What is counted for the pool and not for a version.
#[derive(Default)]
pub(crate) struct Tally {
    /// Calls that never got an instance.
    pub(crate) refused: Errors,
    /// The waits of calls that got one, once a call has waited.
    pub(crate) waits: OnceLock<Recorder>,
    pub(crate) rebuilds: AtomicU64,
    pub(crate) failed_starts: AtomicU64,
    pub(crate) replaced: AtomicU64,
}
