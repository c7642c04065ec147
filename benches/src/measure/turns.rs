//! Anything that can be repeated and timed, in turns with others.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::shuffle;
use crate::report::table::Cell;

/// One of those that take turns.
pub struct Contender {
    /// Its name, for errors.
    pub label: String,
    repeat: Box<dyn FnMut(u32) -> Result<Duration>>,
}

impl Contender {
    /// One that is told how often to do its thing, and says how long that took.
    pub fn new(label: impl Into<String>, repeat: impl FnMut(u32) -> Result<Duration> + 'static) -> Self {
        Self { label: label.into(), repeat: Box::new(repeat) }
    }

    /// One that does its thing once each time it is called. To drop what comes of it counts too.
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

    /// Warms up, and finds how many repetitions fill a batch.
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

/// Lets each do batches of about that length, in a shuffled order, for so many rounds. A cell is nanoseconds each.
///
/// # Errors
///
/// When one of them fails.
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
