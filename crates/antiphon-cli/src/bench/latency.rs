//! Summarises the times of many calls, in memory that does not grow with their number.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::failure::Failure;

/// The times of calls, in nanoseconds, to three significant digits.
#[derive(Debug)]
pub(crate) struct Latency {
    times: Histogram<u64>,
}

impl Latency {
    pub(crate) fn new() -> Result<Self, Failure> {
        // The histogram grows with the longest time.
        let times = Histogram::new(3).map_err(|error| {
            Failure::System("cannot set up the histogram of latencies", std::io::Error::other(error))
        })?;
        Ok(Self { times })
    }

    pub(crate) fn record(&mut self, time: Duration) {
        // Fails only if the histogram cannot grow to this time, and no process lives that long.
        let _ = self.times.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds the times that `other` recorded.
    pub(crate) fn add(&mut self, other: &Self) {
        // Both have equal settings, so this fails only if this histogram cannot grow to the other's
        // longest time.
        let _ = self.times.add(&other.times);
    }

    /// Returns how many times were recorded.
    pub(crate) fn calls(&self) -> u64 {
        self.times.len()
    }

    /// Returns the time that this part of all calls does not exceed; `None` if nothing was
    /// recorded.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        (!self.times.is_empty()).then(|| Duration::from_nanos(self.times.value_at_quantile(part)))
    }

    /// Returns the median; `None` if nothing was recorded.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// Returns the smallest, mean and largest time; `None` if nothing was recorded.
    pub(crate) fn range(&self) -> Option<[Duration; 3]> {
        let mean = Duration::try_from_secs_f64(self.times.mean() / 1e9).ok()?;
        let [min, max] = [self.times.min(), self.times.max()].map(Duration::from_nanos);
        (!self.times.is_empty()).then_some([min, mean, max])
    }
}

/// Formats a time with three significant digits in the unit that fits.
pub(crate) fn short_time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let decimals = if value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    format!("{value:.decimals$} {unit}")
}

/// Returns a rate per second; zero if no time passed.
#[expect(clippy::cast_precision_loss, reason = "no process makes 2^52 calls")]
pub(crate) fn per_second(number: u64, took: Duration) -> f64 {
    if took.is_zero() { 0.0 } else { number as f64 / took.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(micros: u64) -> Latency {
        let mut latency = Latency::new().unwrap();
        for micros in 1..=micros {
            latency.record(Duration::from_micros(micros));
        }
        latency
    }

    #[test]
    fn where_nothing_was_recorded_there_is_no_time() {
        let latency = Latency::new().unwrap();
        assert_eq!((latency.median(), latency.range()), (None, None));
        assert_eq!(per_second(0, Duration::ZERO), 0.0);
    }

    #[test]
    fn a_time_has_three_digits_and_the_unit_that_fits() {
        let shown =
            [0, 1_000, 50_500, 100_000, 5_050_000, 1_000_000_000].map(Duration::from_nanos).map(short_time);
        assert_eq!(shown, ["0.00 ns", "1.00 µs", "50.5 µs", "100 µs", "5.05 ms", "1.00 s"]);
    }

    #[test]
    fn two_are_added_and_long_times_are_kept() {
        let mut latency = up_to(10);
        let mut other = Latency::new().unwrap();
        other.record(Duration::from_secs(100_000));
        latency.add(&other);
        assert_eq!(latency.calls(), 11);
        let [min, mean, max] = latency.range().unwrap();
        assert_eq!(min, Duration::from_micros(1));
        assert!((9_000..9_200).contains(&mean.as_secs()), "{mean:?}");
        assert!((99_900..100_100).contains(&max.as_secs()), "{max:?}");
    }
}
