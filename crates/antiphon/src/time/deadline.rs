//! By when a call has to end.

use std::time::{Duration, Instant};

use super::ticker::{self, NEVER, TICK};

/// The deadline of a call or of a start, in ticks of the [`ticker`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// The tick at which it is over, as far as the cached tick that it was counted from could tell.
    pub(crate) tick: u64,
    /// That cached tick.
    began: u64,
    /// The duration that it came from, for error messages.
    pub(crate) limit: Duration,
}

impl Deadline {
    /// Never over, and counted from no tick that there is.
    pub(crate) const NEVER: Self = Self { tick: NEVER, began: NEVER, limit: Duration::MAX };

    /// A number of ticks (those of `limit`) from a cached tick on. One more is added: the cached tick may be almost over.
    #[inline]
    pub(crate) fn after(began: u64, ticks: u64, limit: Duration) -> Self {
        Self { tick: began.saturating_add(1).saturating_add(ticks), began, limit }
    }

    /// Whether it was counted from this tick on.
    #[inline]
    pub(crate) fn began_at(&self, tick: u64) -> bool {
        self.began == tick
    }

    /// Whether it is over. A clock that was late when the call began is made good for: no deadline is early by more than
    /// a tick may be late.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        let now = ticker::now();
        now >= self.tick && self.is_over_for_certain(now)
    }

    #[cold]
    fn is_over_for_certain(&self, now: u64) -> bool {
        now >= self.tick.saturating_add(ticker::lateness(self.began))
    }

    #[must_use]
    pub(crate) fn earlier(self, other: Self) -> Self {
        if other.tick < self.tick { other } else { self }
    }

    /// How long ago it was counted from, in whole ticks.
    pub(crate) fn used(&self) -> Duration {
        let ticks = ticker::now().saturating_sub(self.began);
        TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// The moment; `None` for one that never comes.
    pub(crate) fn instant(&self) -> Option<Instant> {
        ticker::instant(self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ticker::ticks;

    #[test]
    fn a_deadline_is_never_early_and_at_most_two_ticks_late() {
        let after = |began, limit| Deadline::after(began, ticks(limit), limit).tick;
        assert_eq!(after(7, TICK), 9);
        assert_eq!(after(7, Duration::from_millis(6)), 10);
        assert_eq!(after(7, Duration::ZERO), 8);
        assert_eq!(after(7, Duration::MAX), NEVER);
    }

    #[test]
    fn the_stricter_of_two_is_the_earlier_one() {
        let (soon, late) = (Deadline::after(7, 1, TICK), Deadline::after(7, 2, TICK * 2));
        assert_eq!((soon.earlier(late).limit, late.earlier(soon).limit), (TICK, TICK));
        assert_eq!(Deadline::NEVER.earlier(late).tick, 10);
    }
}
