//! The time by which a call has to end.
//!
//! A deadline is the tick after the one in which it falls, so it comes at most two ticks late.
//! Where the ticker's thread is starved of a processor, the tick that calls read is as old as the
//! ticker is late. The ticker notes by how much ([`ticker::lateness`]), and a deadline that was
//! counted from such a tick is late by that instead of early: a starved machine must not end
//! innocent calls. A delay of up to a millisecond, which every timer has, is not compensated: to
//! never be early would cost a tick each time.

use std::time::{Duration, Instant};

use super::ticker::{self, NEVER, TICK};

/// The deadline of a call or of a start, in ticks of the [`ticker`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// The tick at which the deadline is over, as far as the cached tick that it was counted from
    /// could tell.
    pub(crate) tick: u64,
    /// The cached tick that the deadline was counted from.
    began: u64,
    /// The duration that the deadline came from, for error messages.
    pub(crate) limit: Duration,
}

impl Deadline {
    /// A deadline that is never over, counted from no tick that exists.
    pub(crate) const NEVER: Self = Self { tick: NEVER, began: NEVER, limit: Duration::MAX };

    /// Returns the deadline that is `ticks` after the cached tick `began`. `limit` is the same time
    /// as a duration. One more tick is added, because the cached tick may be almost over.
    #[inline]
    pub(crate) fn after(began: u64, ticks: u64, limit: Duration) -> Self {
        Self { tick: began.saturating_add(1).saturating_add(ticks), began, limit }
    }

    /// Returns the deadline of a request that has this time left from the cached tick `began` on. A
    /// request that has none left is over at once: its caller has passed on what remained of a time
    /// of its own.
    pub(crate) fn of_request(began: u64, limit: Duration) -> Self {
        if limit.is_zero() {
            return Self { tick: 0, began, limit };
        }
        Self::after(began, ticker::ticks(limit), limit)
    }

    /// Returns whether the deadline was counted from this tick.
    #[inline]
    pub(crate) fn began_at(&self, tick: u64) -> bool {
        self.began == tick
    }

    /// Returns whether the deadline is over. If the clock was late when the call began, the
    /// deadline is later by that delay: it is never early by more than a punctual tick may be late.
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

    /// Returns how long ago the tick was that the deadline was counted from, in whole ticks.
    pub(crate) fn used(&self) -> Duration {
        let ticks = ticker::now().saturating_sub(self.began);
        TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// Returns the moment of the deadline; `None` for one that never comes.
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
    fn only_a_request_that_has_no_time_left_is_over_at_once() {
        let now = ticker::now();
        assert!(Deadline::of_request(now, Duration::ZERO).is_over());
        let brief = Duration::from_nanos(1);
        assert_eq!(Deadline::of_request(now, brief).tick, Deadline::after(now, ticks(brief), brief).tick);
    }

    #[test]
    fn the_stricter_of_two_is_the_earlier_one() {
        let (soon, late) = (Deadline::after(7, 1, TICK), Deadline::after(7, 2, TICK * 2));
        assert_eq!((soon.earlier(late).limit, late.earlier(soon).limit), (TICK, TICK));
        assert_eq!(Deadline::NEVER.earlier(late).tick, 10);
    }
}
