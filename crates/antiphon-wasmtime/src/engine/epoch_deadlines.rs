//! Deadlines in epoch ticks instead of time.
//!
//! Epochs of a caller's engine cannot be read, only awaited. So a store is armed with the whole of
//! `EpochDeadlines`, and its first callback is the last, as in the incumbent. A call that also has
//! a wall-clock deadline is checked at each tick instead, and ticks that pass during a host call
//! count as one. Our own epochs are the ticker's, which has counted all of them.

use antiphon::errors::{Error, Phase};
use antiphon::{Conversation, Exceeded, ticker};

use super::Clock;

/// How many epochs guest code may run, and how they are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    limit: u64,
    count: Count,
}

#[derive(Clone, Copy, Debug)]
enum Count {
    /// Our epochs. The ticker has counted them, including those that passed while the host worked
    /// for the guest.
    Ours { from: u64 },
    /// Epochs of a caller's engine, awaited all at once; the first callback is the last.
    AllAtOnce,
    /// Epochs of a caller's engine, checked one by one because the call can also end by its wall
    /// clock. Epochs that pass while the host works for the guest count as one.
    OneByOne { left: u64 },
}

impl Ticks {
    pub(crate) fn new(limit: u64, clock: Clock) -> Self {
        let count = if clock == Clock::Ours { Count::Ours { from: 0 } } else { Count::AllAtOnce };
        Self { limit, count }
    }

    /// Returns the ticks of a run that begins now, and after how many of them the first callback is
    /// needed.
    pub(crate) fn start(self, conversation: &Conversation) -> (u64, Self) {
        let (first, count) = match self.count {
            Count::Ours { .. } => (self.limit.min(1), Count::Ours { from: ticker::now() }),
            _ if conversation.has_deadline() => (self.limit.min(1), Count::OneByOne { left: self.limit }),
            // Wasmtime adds the ticks to the current epoch, and some programs use `u64::MAX` for
            // 'never'.
            _ => (self.limit.min(u64::MAX / 2), Count::AllAtOnce),
        };
        (first, Self { count, ..self })
    }

    /// Counts a callback, and ends the guest if its ticks are over.
    pub(crate) fn on_tick(&mut self) -> Result<(), Error> {
        match &mut self.count {
            Count::Ours { .. } => self.check(),
            Count::AllAtOnce => Err(self.over()),
            Count::OneByOne { left } => {
                *left = left.saturating_sub(1);
                if *left == 0 { Err(self.over()) } else { Ok(()) }
            }
        }
    }

    /// Checks between two callbacks, which only our own epochs allow.
    #[cold]
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.count {
            Count::Ours { from } if self.is_over(from) => Err(self.over()),
            _ => Ok(()),
        }
    }

    /// Leaves out ticks that were over before the run began but that a late clock counted
    /// afterwards.
    fn is_over(&self, from: u64) -> bool {
        let passed = ticker::now().saturating_sub(from);
        passed >= self.limit && passed.saturating_sub(ticker::lateness(from)) >= self.limit
    }

    fn over(&self) -> Error {
        let limit = format_args!("{} epoch ticks", self.limit);
        Error::deadline(Phase::Guest, limit, "all of them").with_exceeded(Exceeded::new(
            "epoch_deadlines",
            self.limit,
            self.limit,
            "ticks",
        ))
    }
}
