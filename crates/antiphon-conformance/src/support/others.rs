//! Load by the other processes of the machine.

use std::fs;
use std::time::Instant;

/// Measures how many processors all other processes use.
pub(crate) struct Others {
    since: Instant,
    /// Hundredths of a second.
    used: Option<u64>,
}

impl Others {
    /// The load, in processors, from which measured times count as disturbed.
    pub(crate) const DISTURB: f64 = 0.1;

    pub(crate) fn watch() -> Self {
        Self { since: Instant::now(), used: Self::used() }
    }

    /// Returns how many processors the other processes used since the start, on average; infinity
    /// where the system does not report it.
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
        // The name comes first and may hold anything. After it come the state, and utime and stime
        // as the 12th and 13th field.
        let own: Vec<_> =
            own.rsplit_once(')')?.1.split_whitespace().skip(12 - 1).take(2).filter_map(number).collect();
        busy.checked_sub(own.iter().sum())
    }
}
