//! Durations and their distribution.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of durations, with three significant digits and a resolution of a microsecond.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new(3).expect("three digits are allowed"))
    }

    pub(crate) fn record(&mut self, time: Duration) {
        // Values are capped at a day, because the histogram grows with the highest value.
        let micros = u64::try_from(time.min(DAY).as_micros()).unwrap_or(u64::MAX);
        self.0.record(micros).expect("a histogram that resizes takes any value");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("histograms that resize take any value");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the duration that this share of the values does not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// Returns the mean, or zero where there is no value.
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e6)
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [self.at(0.5), self.at(0.99), self.max()].map(Milliseconds);
        write!(f, "p50 {p50}, p99 {p99}, max {max}")
    }
}

/// A time in milliseconds with two digits after the point.
#[derive(Clone, Copy)]
pub(crate) struct Milliseconds(pub(crate) Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.0.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_few_is_their_p99() {
        let mut times = Latencies::new();
        for ms in 1..=10 {
            times.record(Duration::from_millis(ms));
        }
        let mut more = Latencies::new();
        more.record(Duration::from_secs(100));
        assert_eq!(times.to_string(), "p50 5.00 ms, p99 10.01 ms, max 10.01 ms");
        assert_eq!((times.mean().as_micros() + 5) / 10, 550);
        assert_eq!(Latencies::new().mean(), Duration::ZERO);
        times.add(&more);
        assert_eq!((times.count(), times.at(0.9).as_millis()), (11, 10));
        assert!(times.max() >= Duration::from_secs(100));
    }
}
