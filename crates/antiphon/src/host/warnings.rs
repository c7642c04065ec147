//! Warnings in the log that an instance was discarded, or did not start.
//!
//! A guest that traps in each call would fill a log. So the process writes at most
//! [`LINES`] of these lines a second, and the next one says how many were left out.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::call::reentrancy;
use crate::errors::{Error, Fate};
use crate::survive::{lock, survive};

/// The most lines of a second.
const LINES: u32 = 10;

const SECOND: Duration = Duration::from_secs(1);

static BUDGET: Mutex<Budget> = Mutex::new(Budget { since: None, written: 0, left_out: 0 });

/// The lines of the current second.
#[derive(Debug)]
struct Budget {
    since: Option<Instant>,
    written: u32,
    /// Lines that were not written since the last one that was.
    left_out: u64,
}

impl Budget {
    /// Takes a line out of the budget, and returns how many were left out before it. Returns `None`
    /// if the budget of this second is spent.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            (self.since, self.written) = (Some(now), 0);
        }
        if self.written < LINES {
            self.written = self.written.saturating_add(1);
            return Some(std::mem::take(&mut self.left_out));
        }
        self.left_out = self.left_out.saturating_add(1);
        None
    }
}

/// Warns if the error of a call cost the instance.
#[cold]
pub(super) fn warn_if_discarded(host: u64, operation: &str, error: &Error) {
    if error.fate() == Fate::Discarded {
        warn(host, |left_out| {
            let (code, error) = (error.code(), error.to_string());
            tracing::warn!(target: "antiphon::instance", host, operation, code, error, left_out, "an instance was discarded");
        });
    }
}

/// Warns that an instance did not start.
#[cold]
pub(super) fn warn_of_failed_start(host: u64, error: &Error) {
    warn(host, |left_out| {
        let (code, error) = (error.code(), error.to_string());
        tracing::warn!(target: "antiphon::instance", host, code, error, left_out, "an instance did not start");
    });
}

/// Writes a line if one is left. A subscriber is the embedder's code: its panic must not take the
/// place of the error, and a call of the host that it runs under is refused at once.
fn warn(host: u64, write: impl FnOnce(u64)) {
    let _running = reentrancy::enter(host);
    survive(|| {
        if tracing::enabled!(target: "antiphon::instance", tracing::Level::WARN) {
            let left_out = lock(&BUDGET).take(Instant::now());
            left_out.map(write);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_and_the_next_says_how_many_were_left_out() {
        let mut budget = Budget { since: None, written: 0, left_out: 0 };
        let start = Instant::now();
        let line = |budget: &mut Budget, ms| budget.take(start + Duration::from_millis(ms));
        for at in 0..10 {
            assert_eq!(line(&mut budget, at * 99), Some(0));
        }
        for at in 900..907 {
            assert_eq!(line(&mut budget, at), None);
        }
        assert_eq!(line(&mut budget, 1_000), Some(7));
        assert_eq!(line(&mut budget, 1_001), Some(0));
    }
}
