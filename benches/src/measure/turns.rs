//! Measures any repeatable work, in turns with other work.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::shuffle;
use crate::report::table::Cell;

/// Work that takes turns with other work.
pub struct Contender {
    /// The name, for errors.
    pub label: String,
    repeat: Box<dyn FnMut(u32) -> Result<Duration>>,
}

impl Contender {
    /// Returns a contender from a function that repeats its work as often as it is told, and
    /// returns how long that took.
    pub fn new(label: impl Into<String>, repeat: impl FnMut(u32) -> Result<Duration> + 'static) -> Self {
        Self { label: label.into(), repeat: Box::new(repeat) }
    }

    /// Returns a contender from a function that does its work once. Dropping its result counts too.
    pub fn each<T>(label: impl Into<String>, mut once: impl FnMut() -> Result<T> + 'static) -> Self {
        Self::new(label, move |times| {
            let start = Instant::now();
            for _ in 0..times {
                drop(once()?);
            }
            Ok(start.elapsed())
        })
    }

    fn repeat(&mut self, times: u32) -> Result<Duration> {
        (self.repeat)(times).with_context(|| format!("{} failed", self.label))
    }

    /// Warms up, and returns how many repetitions fill a batch.
    fn calibrate(&mut self, batch: Duration) -> Result<u32> {
        let mut times = 1;
        loop {
            let elapsed = self.repeat(times)?;
            if elapsed >= batch {
                let fitting = f64::from(times) * batch.as_secs_f64() / elapsed.as_secs_f64();
                return Ok((fitting as u32).max(1));
            }
            times = times.saturating_mul(2);
        }
    }
}

/// Runs batches of about this length, in a shuffled order, for `rounds` rounds. A cell is the
/// nanoseconds of one repetition.
///
/// # Errors
///
/// When a contender fails.
pub fn take_turns(contenders: &mut [Contender], rounds: u32, batch: Duration) -> Result<Vec<Cell>> {
    ensure!(rounds > 0, "the rounds have to be positive");
    let mut repetitions = Vec::new();
    for contender in contenders.iter_mut() {
        repetitions.push(contender.calibrate(batch)?);
    }
    let mut times = vec![Vec::new(); contenders.len()];
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    let mut seed = 1;
    for _ in 0..rounds {
        for &i in &order {
            let elapsed = contenders[i].repeat(repetitions[i])?;
            times[i].push(elapsed.as_secs_f64() * 1e9 / f64::from(repetitions[i]));
        }
        shuffle(&mut order, &mut seed);
    }
    Ok(times.into_iter().map(Cell::new).collect())
}
