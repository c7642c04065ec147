//! Counts how the calls of a benchmark ended.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use antiphon::errors::Error;

use super::latency::{self, Latency};
use crate::failure::Failure;
use crate::lock::lock;

/// The most shards. With more callers than this, several share a shard.
const SHARDS: usize = 16;

/// What callers record during one turn. Each caller writes to its shard, so that callers do not
/// wait for each other.
pub(crate) struct Tally {
    stopped: AtomicBool,
    shards: Box<[Mutex<Shard>]>,
}

/// The times of answered calls, and the number of errors by code.
#[derive(Debug)]
struct Shard {
    answered: Latency,
    errors: BTreeMap<&'static str, u64>,
    /// The first error, kept for the failure of the command.
    first: Option<Error>,
}

impl Shard {
    fn new() -> Result<Self, Failure> {
        Ok(Self { answered: Latency::new()?, errors: BTreeMap::new(), first: None })
    }
}

impl Tally {
    pub(crate) fn new(callers: usize) -> Result<Self, Failure> {
        let shards = (0..callers.clamp(1, SHARDS)).map(|_| Shard::new().map(Mutex::new));
        Ok(Self { stopped: AtomicBool::new(false), shards: shards.collect::<Result<_, _>>()? })
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }

    /// Returns how many calls were answered so far, and how many failed.
    pub(crate) fn glance(&self) -> [u64; 2] {
        self.shards().fold([0, 0], |[answered, failed], shard| {
            [answered + shard.answered.calls(), failed + shard.errors.values().sum::<u64>()]
        })
    }

    /// Records how a call of a caller, counted from 0, ended, and how long it took.
    pub(crate) fn ended(&self, caller: usize, time: Duration, ended: Result<Vec<u8>, Error>) {
        let Some(shard) = self.shards.get(caller % self.shards.len()) else { return };
        let mut shard = lock(shard);
        match ended {
            Ok(_) => shard.answered.record(time),
            Err(error) => {
                *shard.errors.entry(error.code()).or_default() += 1;
                shard.first.get_or_insert(error);
            }
        }
    }

    /// Says that no more calls are wanted.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Returns how many calls of a caller, and of those that share its shard, were answered.
    #[cfg(test)]
    pub(super) fn answered_by(&self, caller: usize) -> u64 {
        self.shards().nth(caller % self.shards.len()).map_or(0, |shard| shard.answered.calls())
    }
}

/// The results of all turns of one subject.
#[derive(Debug)]
pub(crate) struct Figures {
    all: Shard,
    pub(crate) time: Duration,
    /// Answered calls per second, one entry per completed turn.
    pub(crate) rates: Vec<f64>,
}

impl Figures {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { all: Shard::new()?, time: Duration::ZERO, rates: Vec::new() })
    }

    /// Adds a turn, completed or broken off.
    pub(crate) fn add(&mut self, turn: &Tally, took: Duration, flow: ControlFlow<()>) {
        let [answered, _] = turn.glance();
        // The rate of an incomplete turn cannot be compared with that of a whole one.
        if flow.is_continue() {
            self.rates.push(latency::per_second(answered, took));
        }
        self.time = self.time.saturating_add(took);
        for mut shard in turn.shards() {
            self.all.answered.add(&shard.answered);
            for (code, number) in &shard.errors {
                *self.all.errors.entry(code).or_default() += number;
            }
            if let Some(first) = shard.first.take() {
                self.all.first.get_or_insert(first);
            }
        }
    }

    pub(crate) fn answered(&self) -> &Latency {
        &self.all.answered
    }

    pub(crate) fn errors(&self) -> &BTreeMap<&'static str, u64> {
        &self.all.errors
    }

    /// Returns the answered calls per second over all turns.
    pub(crate) fn rate(&self) -> f64 {
        latency::per_second(self.all.answered.calls(), self.time)
    }

    /// Returns the first error if no call was answered.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        if self.all.answered.calls() == 0 { self.all.first.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon::errors::ErrorKind;

    fn turn(ended: &[Result<u64, ErrorKind>]) -> Tally {
        let tally = Tally::new(3).unwrap();
        for (caller, ended) in ended.iter().enumerate() {
            let time = Duration::from_millis(ended.unwrap_or(1));
            let ended = ended.map(|_| Vec::new()).map_err(|kind| Error::new(kind, format!("error {caller}")));
            tally.ended(caller, time, ended);
        }
        tally
    }

    #[test]
    fn answers_and_errors_of_all_turns_are_summed_up() {
        let mut figures = Figures::new().unwrap();
        let first = turn(&[Ok(1), Err(ErrorKind::Trapped), Ok(3), Ok(2), Err(ErrorKind::Trapped)]);
        assert_eq!(first.glance(), [3, 2]);
        figures.add(&first, Duration::from_secs(1), ControlFlow::Continue(()));
        figures.add(&turn(&[Err(ErrorKind::Overloaded)]), Duration::from_secs(2), ControlFlow::Continue(()));
        assert_eq!((figures.answered().calls(), figures.rate()), (3, 1.0));
        assert_eq!(figures.rates, [3.0, 0.0]);
        let errors: Vec<_> = figures.errors().iter().map(|(code, number)| (*code, *number)).collect();
        assert_eq!(errors, [("overloaded", 1), ("trapped", 2)]);
        assert!(figures.take_failure().is_none(), "some calls answered");
    }

    #[test]
    fn the_first_error_is_the_failure_where_nothing_answered() {
        let mut figures = Figures::new().unwrap();
        figures.add(&turn(&[Err(ErrorKind::Trapped)]), Duration::from_secs(1), ControlFlow::Continue(()));
        figures.add(&turn(&[Err(ErrorKind::Overloaded)]), Duration::from_secs(1), ControlFlow::Break(()));
        assert_eq!((figures.time, figures.rates.len()), (Duration::from_secs(2), 1), "one was broken off");
        assert_eq!(figures.take_failure().unwrap().message(), "error 0");
    }

    #[test]
    fn after_the_stop_no_call_is_wanted() {
        let tally = Tally::new(100).unwrap();
        assert_eq!((tally.shards.len(), tally.is_stopped()), (SHARDS, false));
        tally.stop();
        assert!(tally.is_stopped());
    }
}
