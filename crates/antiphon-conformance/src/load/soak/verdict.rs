//! The findings of a soak, and whether they are good enough.

use std::fmt;
use std::time::{Duration, Instant};

use super::memory::slope;
use crate::load::traffic::Kind;
use crate::support::{Latencies, Milliseconds, Others, Process};

/// Runs of at least this length are judged strictly.
const LONG: Duration = Duration::from_secs(20 * 60);

/// Memory at a moment of the run.
pub(super) struct Sample {
    at: Duration,
    /// Resident KiB, where the system reports it.
    pub(super) memory: Option<u64>,
}

impl Sample {
    pub(super) fn now(started: Instant) -> Self {
        let memory = Process::now().map(|process| process.resident / 1024);
        Self { at: started.elapsed(), memory }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6.0} s", self.at.as_secs_f64())?;
        match self.memory {
            Some(memory) => write!(f, ", {memory} KiB"),
            None => Ok(()),
        }
    }
}

/// A part of a run.
pub(super) struct Window {
    /// Latencies of the good calls.
    pub(super) latencies: Latencies,
    /// How many processors the other processes used.
    pub(super) others: f64,
}

impl Window {
    fn is_disturbed(&self) -> bool {
        self.others > Others::DISTURB
    }
}

/// The figures of a run.
pub(super) struct Verdict {
    time: Duration,
    pub(super) samples: Vec<Sample>,
    pub(super) windows: Vec<Window>,
    pub(super) counts: Vec<(Kind, u64)>,
    pub(super) unexpected: u64,
}

impl Verdict {
    pub(super) fn new(time: Duration) -> Self {
        Self { time, samples: Vec::new(), windows: Vec::new(), counts: Vec::new(), unexpected: 0 }
    }

    pub(super) fn holds(&self) -> bool {
        self.unexpected == 0
            && self.slope() <= self.allowed_slope()
            && self.drift().is_none_or(|drift| drift <= self.allowed_drift())
            // A run without a good call proves nothing.
            && self.windows.iter().all(|window| window.latencies.count() > 0)
    }

    /// Returns the growth of memory in the second half, in KiB a minute.
    fn slope(&self) -> f64 {
        let second_half = self.samples.iter().filter(|sample| sample.at >= self.time / 2);
        let points: Vec<_> = second_half
            .map(|sample| (sample.at.as_secs_f64() / 60.0, sample.memory.unwrap_or_default() as f64))
            .collect();
        slope(&points)
    }

    fn allowed_slope(&self) -> f64 {
        if self.time >= LONG { 1024.0 / 10.0 } else { 4096.0 / (self.time.as_secs_f64() / 60.0 / 2.0) }
    }

    /// Returns the mean latency of the second half over that of the first, both without the
    /// warm-up and without windows that other processes disturbed. `None`: a half has no window
    /// left.
    ///
    /// The mean and not a high percentile: one call in a hundred waits behind a guest that loops
    /// until its deadline, so the 99th percentile of a window is a few times higher or lower by
    /// chance. The mean is made of the same slow calls, and moves less.
    fn drift(&self) -> Option<f64> {
        let windows = self.windows.get(1..)?;
        let (early, late) = windows.split_at(windows.len() / 2);
        Some(mean(late)? / mean(early)?)
    }

    fn allowed_drift(&self) -> f64 {
        if self.time >= LONG { 1.2 } else { 2.0 }
    }
}

/// Returns the mean latency in seconds of the windows that nothing disturbed.
fn mean(windows: &[Window]) -> Option<f64> {
    let mut all = Latencies::new();
    windows.iter().filter(|window| !window.is_disturbed()).for_each(|window| all.add(&window.latencies));
    (all.count() > 0).then(|| all.mean().as_secs_f64())
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (number, window) in self.windows.iter().enumerate() {
            let Window { latencies, others } = window;
            let (mean, p99) = (Milliseconds(latencies.mean()), Milliseconds(latencies.at(0.99)));
            let (number, calls) = (number + 1, latencies.count());
            write!(f, "window {number:>2}: {calls} good calls, mean {mean}, p99 {p99}; ")?;
            let name = if number == 1 { " (warm-up)" } else { "" };
            writeln!(f, "others had {others:.2} processors{name}")?;
        }
        for (kind, count) in &self.counts {
            writeln!(f, "{:>20}: {count}", kind.name())?;
        }
        writeln!(f, "{:>20}: {}", "unexpected", self.unexpected)?;
        let (slope, allowed) = (self.slope(), self.allowed_slope());
        writeln!(f, "memory: {slope:+.1} KiB a minute in the second half, {allowed:.1} allowed")?;
        match self.drift() {
            None => writeln!(f, "drift of the mean latency: not judged, as other processes took part")?,
            Some(drift) => {
                writeln!(f, "drift of the mean latency: {drift:.2}, {:.1} allowed", self.allowed_drift())?
            }
        }
        writeln!(f, "{}", if self.holds() { "the soak holds" } else { "THE SOAK FAILS" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(minutes: u64, latencies: [u64; 5], kib_a_minute: u64) -> Verdict {
        let mut verdict = Verdict::new(Duration::from_secs(minutes * 60));
        for ms in latencies {
            let mut latencies = Latencies::new();
            latencies.record(Duration::from_millis(ms));
            verdict.windows.push(Window { latencies, others: 0.0 });
        }
        for minute in 0..=minutes {
            let memory = Some(100_000 + kib_a_minute * minute);
            verdict.samples.push(Sample { at: Duration::from_secs(minute * 60), memory });
        }
        verdict
    }

    #[test]
    fn a_long_run_is_judged_strictly_and_a_short_one_less() {
        assert!(verdict(20, [900, 5, 15, 12, 11], 100).holds());
        assert!(!verdict(20, [900, 5, 15, 13, 13], 100).holds(), "drift");
        assert!(!verdict(20, [900, 10, 10, 10, 10], 110).holds(), "memory");
        assert!(verdict(2, [900, 5, 15, 30, 9], 4_000).holds());
        assert!(!verdict(2, [900, 5, 15, 30, 12], 4_000).holds(), "drift");
        assert!(!verdict(2, [900, 10, 10, 10, 10], 5_000).holds(), "memory");
    }

    #[test]
    fn a_window_that_other_processes_disturbed_is_not_judged() {
        for minutes in [2, 20] {
            let mut disturbed = verdict(minutes, [900, 10, 10, 10, 100], 0);
            assert!(!disturbed.holds());
            disturbed.windows[4].others = 0.5;
            assert!(disturbed.holds());
            disturbed.windows[3] = Window { latencies: disturbed.windows[4].latencies.clone(), others: 0.0 };
            assert!(!disturbed.holds(), "the other window of this half counts");
            disturbed.windows[3].others = 0.5;
            assert_eq!(disturbed.drift(), None);
            assert!(disturbed.holds());
        }
    }

    #[test]
    fn an_unexpected_end_or_an_empty_window_fails_any_run() {
        assert!(!Verdict { unexpected: 1, ..verdict(20, [10; 5], 0) }.holds());
        let mut empty = verdict(20, [10; 5], 0);
        empty.windows[2].latencies = Latencies::new();
        assert!(!empty.holds());
    }
}
