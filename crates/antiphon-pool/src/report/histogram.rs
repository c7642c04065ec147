//! A histogram of durations.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each doubling has eight buckets, so a bucket is as wide as an eighth of its lower bound.
const SHIFT: u32 = 3;
const PER_DOUBLING: u64 = 1 << SHIFT;
/// The largest value in nanoseconds: 2^42, more than an hour. Longer times are counted as this one.
const LARGEST: u64 = (1 << 42) - 1;
const BUCKETS: usize = (((42 - SHIFT) as usize) + 1) << SHIFT;

/// A distribution of durations; each is known to within an eighth.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into() }
    }
}

impl Histogram {
    /// Returns how many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the duration that the fraction `part` of all did not exceed (0.5 for the median), or
    /// zero if none was counted.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let count = self.count();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank that is off by one in 2^52 is off by nothing"
        )]
        let rank = ((count as f64 * part.clamp(0.0, 1.0)).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        for (bucket, number) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*number);
            if seen >= rank {
                return Duration::from_nanos(highest(bucket));
            }
        }
        Duration::ZERO
    }

    /// Returns the buckets that are not empty, shortest first: the longest duration of each bucket,
    /// and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let all = self.counts.iter().enumerate();
        all.filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (Duration::from_nanos(highest(bucket)), *count))
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours = ours.saturating_add(*theirs);
        }
    }

    /// Counts `number` durations of zero.
    pub(crate) fn add_zeros(&mut self, number: u64) {
        if let Some(first) = self.counts.first_mut() {
            *first = first.saturating_add(number);
        }
    }
}

/// Leaves out the hundreds of buckets.
impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("longest", &self.quantile(1.0))
            .finish_non_exhaustive()
    }
}

/// A histogram that can be read while it is written.
pub(crate) struct Recorder(Box<[AtomicU64]>);

impl Default for Recorder {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Recorder {
    /// Counts a duration where no other thread writes at the same time: a load and a store are
    /// enough, without an atomic exchange.
    #[inline]
    pub(crate) fn record_alone(&self, time: Duration) {
        if let Some(count) = self.0.get(bucket(time)) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Counts a duration; any number of threads may do so.
    pub(crate) fn record(&self, time: Duration) {
        if let Some(count) = self.0.get(bucket(time)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        Histogram { counts: self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect() }
    }
}

#[inline]
fn bucket(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(LARGEST).min(LARGEST);
    // Below the first doubling that is split into eight buckets, each number has a bucket of its
    // own.
    let doubling = nanos.max(PER_DOUBLING).ilog2() - SHIFT;
    let bucket = (u64::from(doubling) << SHIFT) + (nanos >> doubling);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// Returns the longest duration of a bucket, in nanoseconds.
fn highest(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let doubling = (bucket >> SHIFT).saturating_sub(1);
    let first = bucket - (doubling << SHIFT);
    ((first + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_a_bucket_whose_longest_is_at_most_an_eighth_more() {
        let mut last = 0;
        for nanos in (0..100_000).chain([1 << 30, 1 << 36, LARGEST - 1, LARGEST]) {
            let found = bucket(Duration::from_nanos(nanos));
            assert!(found < BUCKETS && found >= last, "{nanos} in {found} after {last}");
            let highest = highest(found);
            assert!(highest >= nanos && highest - nanos <= nanos / 8, "{nanos} up to {highest}");
            last = found;
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_of_what_was_counted() {
        let recorder = Recorder::default();
        assert_eq!(recorder.snapshot().quantile(0.5), Duration::ZERO);
        for micros in 1..=100 {
            recorder.record_alone(Duration::from_micros(micros));
        }
        recorder.record(Duration::from_secs(1));
        let mut all = recorder.snapshot();
        assert_eq!(all.count(), 101);
        let is_about = |part, time: Duration| {
            let found = all.quantile(part);
            assert!(found >= time && found <= time * 9 / 8, "{part}: {found:?} for {time:?}");
        };
        is_about(0.5, Duration::from_micros(51));
        is_about(0.0, Duration::from_micros(1));
        is_about(1.0, Duration::from_secs(1));
        all.add_zeros(1000);
        assert_eq!((all.count(), all.quantile(0.9)), (1101, Duration::ZERO));
        assert_eq!(all.buckets().map(|(_, count)| count).sum::<u64>(), 1101);
    }
}
