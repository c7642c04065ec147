//! The budget of one route for one guest call.

use std::fmt;
use std::time::{Duration, Instant};

use super::{HostCall, Ledger};
use crate::call::Terms;
use crate::time::{Deadline, ticker};

/// The most that a route gives to one guest call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    pub(super) calls: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) time: Option<Duration>,
}

/// The part of a budget that is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    Calls(u64),
    Bytes(u64),
    Time(Duration),
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the budget of ")?;
        match self {
            Self::Calls(limit) => write!(f, "{limit} calls"),
            Self::Bytes(limit) => write!(f, "{limit} bytes"),
            Self::Time(limit) => write!(f, "{limit:?}"),
        }?;
        f.write_str(" that its route has for one guest call is spent")
    }
}

/// A host call that its budget admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    route: u64,
    budget: Budget,
    /// Present only where time is limited.
    clock: Option<Clock>,
}

/// When a handler began, and when it has to be done.
#[derive(Clone, Copy, Debug)]
struct Clock {
    since: Instant,
    /// Ends a handler that waits. It may come a little before the time is spent, where the ticker
    /// came late to the tick that it is counted from.
    deadline: Deadline,
}

impl Budget {
    pub(super) fn is_unlimited(&self) -> bool {
        self.calls.is_none() && self.bytes.is_none() && self.time.is_none()
    }

    /// Charges a host call before its handler runs.
    pub(super) fn admit(self, route: u64, call: &HostCall<'_>) -> Result<Turn, Exhausted> {
        let payload = size(call.payload);
        call.ledger().with(route, |spent| {
            if let Some(limit) = self.calls.filter(|limit| spent.calls >= *limit) {
                return Err(Exhausted::Calls(limit));
            }
            let bytes = spent.bytes.saturating_add(payload);
            if let Some(limit) = self.bytes.filter(|limit| bytes > *limit) {
                return Err(Exhausted::Bytes(limit));
            }
            if let Some(limit) = self.time.filter(|limit| spent.time >= *limit) {
                return Err(Exhausted::Time(limit));
            }
            spent.calls = spent.calls.saturating_add(1);
            spent.bytes = bytes;
            let clock = self.time.map(|limit| Clock::start(limit.saturating_sub(spent.time)));
            Ok(Turn { route, budget: self, clock })
        })
    }
}

impl Clock {
    fn start(left: Duration) -> Self {
        Self { since: Instant::now(), deadline: Deadline::after(ticker::now(), ticker::ticks(left), left) }
    }
}

impl Turn {
    /// Returns the terms of the handler: those of the call, up to the end of the budget.
    pub(super) fn terms(&self, call: &HostCall<'_>) -> Terms {
        match self.clock {
            None => call.terms().clone(),
            Some(clock) => call.terms().at_most(clock.deadline),
        }
    }

    /// Charges the handler's time, and the bytes of its answer if there is one. An answer that came
    /// too late or is too large is refused.
    pub(super) fn settle(self, ledger: &Ledger, answer: Option<usize>) -> Result<(), Exhausted> {
        ledger.with(self.route, |spent| {
            if let Some(clock) = self.clock {
                spent.time = spent.time.saturating_add(clock.since.elapsed());
            }
            let bytes = u64::try_from(answer.unwrap_or(0)).unwrap_or(u64::MAX);
            spent.bytes = spent.bytes.saturating_add(bytes);
            // An answer came before that deadline, or from a handler that did not look at it.
            let ended = answer.is_none() && self.clock.is_some_and(|clock| clock.deadline.is_over());
            if let Some(limit) = self.budget.time.filter(|limit| ended || spent.time > *limit) {
                spent.time = spent.time.max(limit);
                return Err(Exhausted::Time(limit));
            }
            if let Some(limit) = self.budget.bytes.filter(|limit| spent.bytes > *limit) {
                return Err(Exhausted::Bytes(limit));
            }
            Ok(())
        })
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_its_deadline_ended_early_has_spent_all_of_its_time() {
        let (ledger, limit) = (Ledger::default(), Duration::from_secs(60));
        let budget = Budget { time: Some(limit), ..Budget::default() };
        // As if the ticker had come late to the tick that the deadline is counted from.
        let clock =
            |ticks| Clock { deadline: Deadline::after(ticker::now(), ticks, limit), ..Clock::start(limit) };
        let turn = |clock| Turn { route: 1, budget, clock: Some(clock) };

        assert_eq!(turn(clock(1000)).settle(&ledger, None), Ok(()));
        let mut over = clock(0);
        over.deadline.tick = 0;
        assert_eq!(turn(over).settle(&ledger, Some(0)), Ok(()), "it was answered in time");
        assert_eq!(turn(over).settle(&ledger, None), Err(Exhausted::Time(limit)));
        assert_eq!(ledger.with(1, |spent| spent.time), limit);
    }
}
