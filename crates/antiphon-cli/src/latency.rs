//! Summing up how long many calls took, in memory that does not grow with their number.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::failure::Failure;

/// The longest time that is told apart, in nanoseconds: some 290 years.
const LONGEST: u64 = u64::MAX / 2;

/// The times of calls, in nanoseconds, to three digits.
#[derive(Debug)]
pub(crate) struct Latency {
    times: Histogram<u64>,
    total: Duration,
}

impl Latency {
    pub(crate) fn new() -> Result<Self, Failure> {
        let times = Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| {
            Failure::System("cannot set up the histogram of latencies", std::io::Error::other(error))
        })?;
        Ok(Self { times, total: Duration::ZERO })
    }

    pub(crate) fn record(&mut self, time: Duration) {
        self.total = self.total.saturating_add(time);
        self.times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST));
    }

    /// The median; `None` where nothing was recorded.
    pub(crate) fn median(&self) -> Option<Duration> {
        (!self.times.is_empty()).then(|| Duration::from_nanos(self.times.value_at_quantile(0.5)))
    }

    /// One line: number of calls, smallest, median, 99th percentile and largest time, calls a second.
    pub(crate) fn summary(&self) -> String {
        let time = |nanoseconds| short(Duration::from_nanos(nanoseconds));
        let calls = self.times.len();
        let at = |quantile| time(self.times.value_at_quantile(quantile));
        format!(
            "{} calls in {}: min {}, p50 {}, p99 {}, max {}; {} calls/s",
            calls,
            short(self.total),
            time(self.times.min()),
            at(0.5),
            at(0.99),
            time(self.times.max()),
            per_second(calls, self.total),
        )
    }
}

/// With three digits that matter and the unit that fits.
pub(crate) fn short(time: Duration) -> String {
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

fn per_second(calls: u64, total: Duration) -> u128 {
    u128::from(calls) * 1_000_000_000 / total.as_nanos().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_its_order_statistics() {
        let mut latency = Latency::new().unwrap();
        for micros in 1..=100 {
            latency.record(Duration::from_micros(micros));
        }
        assert_eq!(
            latency.summary(),
            "100 calls in 5.05 ms: min 1.00 µs, p50 50.0 µs, p99 99.0 µs, max 100 µs; 19801 calls/s"
        );
    }

    #[test]
    fn no_call_in_no_time_is_summed_up_too() {
        let text = Latency::new().unwrap().summary();
        assert!(text.starts_with("0 calls in 0.00 ns"), "{text}");
    }
}
