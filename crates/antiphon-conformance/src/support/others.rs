//! The machine's other processes.

use std::fs;
use std::time::Instant;

/// How much of the processors everybody but this process uses.
pub(crate) struct Others {
    since: Instant,
    /// Hundredths of a second.
    used: Option<u64>,
}

impl Others {
    /// From how many processors on they are a disturbance to times.
    pub(crate) const DISTURB: f64 = 0.1;

    pub(crate) fn watch() -> Self {
        Self { since: Instant::now(), used: Self::used() }
    }

    /// How many processors they had since then, on average. Without end where it is not known.
    pub(crate) fn had(&self) -> f64 {
        match (self.used, Self::used()) {
            (Some(before), Some(now)) => {
                now.saturating_sub(before) as f64 / 100.0 / self.since.elapsed().as_secs_f64()
            }
            _ => f64::INFINITY,
        }
    }

    fn used() -> Option<u64> {
        let number = |text: &str| text.parse::<u64>().ok();
        let all = fs::read_to_string("/proc/stat").ok()?;
        // user, nice, system, idle, iowait, irq, softirq, steal
        let all: Vec<_> = all.lines().next()?.split_whitespace().skip(1).take(8).filter_map(number).collect();
        let busy = all.iter().sum::<u64>().checked_sub(all.get(3)? + all.get(4)?)?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        // After the name, which may hold anything: the state, and utime and stime as the 12th and 13th.
        let own: Vec<_> =
            own.rsplit_once(')')?.1.split_whitespace().skip(12 - 1).take(2).filter_map(number).collect();
        busy.checked_sub(own.iter().sum())
    }
}
