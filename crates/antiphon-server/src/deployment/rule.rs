//! When a canary is rolled back by itself.
//!
//! A canary is judged by its share of errors against that of the version beside it, over the same
//! time. Shares of a hundred calls scatter: a canary whose guests err in a tenth of their calls, as
//! those of the old version do, shows 15 % now and then. So it is not the difference of the shares
//! that is compared with the rule, but the least difference that the calls leave possible: the
//! lower end of Newcombe's interval, which combines Wilson's intervals of both shares. The interval
//! is wide (4.5 standard deviations, 3 in a million on one side), because a canary is looked at
//! each second for as long as it lives.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::settings::Rule;

/// How many standard deviations the interval extends to either side.
const DEVIATIONS: f64 = 4.5;

/// What a version did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Calls that it ended.
    pub(crate) calls: u64,
    /// Calls that ended in an error whose fault is the guest's or the engine's.
    pub(crate) faults: u64,
}

impl Count {
    fn since(self, earlier: Self) -> Self {
        let faults = self.faults.saturating_sub(earlier.faults);
        // A call that got no instance, because none starts, is counted only as a fault.
        Self { calls: self.calls.saturating_sub(earlier.calls).max(faults), faults }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of more than 2^53 calls needs no last digit")]
    fn share(self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.faults as f64 / self.calls as f64 }
    }

    /// Returns Wilson's interval of the share.
    #[expect(clippy::cast_precision_loss, reason = "as in `share`")]
    fn interval(self) -> (f64, f64) {
        let (calls, share, square) = (self.calls.max(1) as f64, self.share(), DEVIATIONS * DEVIATIONS);
        let middle = share + square / (2.0 * calls);
        let spread = (share * (1.0 - share) / calls + square / (4.0 * calls * calls)).sqrt() * DEVIATIONS;
        let scale = 1.0 + square / calls;
        ((middle - spread) / scale, (middle + spread) / scale)
    }

    /// Returns the least difference by which this share is larger than that of `other`, as far as
    /// the calls tell.
    fn least_above(self, other: Self) -> f64 {
        let (low, _) = self.interval();
        // A version that was never called is taken for one that never errs.
        let (share, high) = if other.calls == 0 { (0.0, 0.0) } else { (other.share(), other.interval().1) };
        let difference = self.share() - share;
        difference - ((self.share() - low).powi(2) + (high - share).powi(2)).sqrt()
    }
}

/// What was seen of a canary and the version beside it.
#[derive(Debug)]
pub(crate) struct Judge {
    /// Earlier looks, oldest first: when, the canary, the version beside it.
    looks: VecDeque<(Instant, Count, Count)>,
}

/// Why a canary is rolled back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    canary: Count,
    stable: Count,
    points: u8,
}

impl Judge {
    /// Begins to judge: what either version did before does not count.
    pub(crate) fn new(now: Instant, canary: Count, stable: Count) -> Self {
        Self { looks: VecDeque::from([(now, canary, stable)]) }
    }

    /// Returns how long to wait between two looks.
    pub(crate) fn pause(rule: &Rule) -> Duration {
        (rule.over / 20).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// Looks at both versions, and says whether the canary has to go.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        canary: Count,
        stable: Count,
        rule: &Rule,
    ) -> Option<Verdict> {
        // The beginning is the newest look that is old enough, and has enough calls after it.
        let is_enough = |(at, then, _): &(Instant, Count, Count)| {
            now.saturating_duration_since(*at) >= rule.over && canary.since(*then).calls >= rule.min_calls
        };
        while self.looks.get(1).is_some_and(is_enough) {
            self.looks.pop_front();
        }
        let (_, canary_then, stable_then) = *self.looks.front()?;
        self.looks.push_back((now, canary, stable));
        let recent = canary.since(canary_then);
        if recent.calls < rule.min_calls.max(1) {
            return None;
        }
        let mut beside = stable.since(stable_then);
        if beside.calls < rule.min_calls {
            // Too few calls in this time: what it did in its whole life says more.
            beside = stable.since(Count::default());
        }
        let verdict = Verdict { canary: recent, stable: beside, points: rule.max_error_points };
        (recent.least_above(beside) > f64::from(rule.max_error_points) / 100.0).then_some(verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { canary, stable, points } = self;
        write!(
            f,
            "it erred in {} of {} calls ({:.1} %), the version beside it in {} of {} ({:.1} %): more than {points} points more",
            canary.faults,
            canary.calls,
            canary.share() * 100.0,
            stable.faults,
            stable.calls,
            stable.share() * 100.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A source of numbers that is the same each time.
    struct Chance(u64);

    impl Chance {
        fn hits(&mut self, share: f64) -> bool {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut hash = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((hash ^ hash >> 31) >> 11) as f64 / (1_u64 << 53) as f64 <= share
        }
    }

    /// Plays a canary: calls a second, the shares of errors, for some seconds. Returns the second
    /// in which it was rolled back.
    fn play(
        seed: u64,
        (canary_calls, stable_calls): (u64, u64),
        (canary_errs, stable_errs): (f64, f64),
        seconds: u32,
    ) -> Option<u32> {
        let (mut chance, mut now, rule) = (Chance(seed), Instant::now(), Rule::default());
        let (mut canary, mut stable) = (Count::default(), Count { calls: 5_000, faults: 0 });
        stable.faults = (0..stable.calls).filter(|_| chance.hits(stable_errs)).count() as u64;
        let mut judge = Judge::new(now, canary, stable);
        for second in 1..=seconds {
            for (count, calls, errs) in
                [(&mut canary, canary_calls, canary_errs), (&mut stable, stable_calls, stable_errs)]
            {
                count.calls += calls;
                count.faults += (0..calls).filter(|_| chance.hits(errs)).count() as u64;
            }
            now += SECOND;
            if judge.look(now, canary, stable, &rule).is_some() {
                return Some(second);
            }
        }
        None
    }

    #[test]
    fn a_canary_that_errs_in_half_its_calls_goes_as_soon_as_it_has_its_calls() {
        for seed in 0..200 {
            let rolled_back = play(seed * 7919, (10, 190), (0.5, 0.0), 60);
            assert!(rolled_back.is_some_and(|second| (10..=12).contains(&second)), "{seed}: {rolled_back:?}");
            assert!(play(seed * 7919, (5, 5), (0.5, 0.02), 60).is_some(), "{seed}");
            // One call in two seconds: a minute never has a hundred.
            let slow = play(seed * 7919, (1, 2), (0.5, 0.1), 300);
            assert!(slow.is_some_and(|second| (100..250).contains(&second)), "{seed}: {slow:?}");
        }
    }

    #[test]
    fn a_canary_that_errs_like_the_version_beside_it_stays() {
        for seed in 0..200 {
            for errs in [0.0, 0.01, 0.1, 0.5, 0.9, 1.0] {
                assert_eq!(play(seed * 104_729, (10, 90), (errs, errs), 600), None, "{seed}: {errs}");
            }
            // One point more is within the rule.
            assert_eq!(play(seed * 104_729, (100, 100), (0.06, 0.05), 300), None, "{seed}");
            // So is a canary that is better.
            assert_eq!(play(seed * 104_729, (10, 90), (0.0, 0.5), 300), None, "{seed}");
        }
    }

    #[test]
    fn a_canary_that_is_a_little_worse_goes_once_enough_calls_show_it() {
        for seed in 0..50 {
            let rolled_back = play(seed * 31, (100, 100), (0.10, 0.01), 120);
            assert!(rolled_back.is_some_and(|second| second > 1), "{seed}: {rolled_back:?}");
        }
    }

    #[test]
    fn fewer_calls_than_the_rule_asks_for_say_nothing() {
        let (now, rule) = (Instant::now(), Rule::default());
        let mut judge = Judge::new(now, Count::default(), Count::default());
        let all_wrong = |calls| Count { calls, faults: calls };
        assert_eq!(judge.look(now + SECOND, all_wrong(99), Count::default(), &rule), None);
        let verdict =
            judge.look(now + SECOND * 2, all_wrong(100), Count { calls: 900, faults: 9 }, &rule).unwrap();
        assert_eq!(
            verdict.to_string(),
            "it erred in 100 of 100 calls (100.0 %), the version beside it in 9 of 900 (1.0 %): more than 2 points more"
        );
    }

    #[test]
    fn what_is_older_than_the_time_of_the_rule_is_forgotten() {
        let (mut now, rule) = (Instant::now(), Rule::default());
        let (mut canary, mut stable) = (Count::default(), Count::default());
        let mut judge = Judge::new(now, canary, stable);
        // An hour without a fault, then every call errs: the hour does not hide it.
        for _ in 0..3_600 {
            now += SECOND;
            canary.calls += 10;
            stable.calls += 90;
            assert_eq!(judge.look(now, canary, stable, &rule), None);
        }
        assert!(judge.looks.len() < 70);
        let mut seconds = 0;
        loop {
            now += SECOND;
            seconds += 1;
            canary = Count { calls: canary.calls + 10, faults: canary.faults + 10 };
            stable.calls += 90;
            if judge.look(now, canary, stable, &rule).is_some() {
                break;
            }
        }
        assert!(seconds < 20, "{seconds}");
    }
}
