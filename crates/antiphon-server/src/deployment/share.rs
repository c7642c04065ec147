//! Which version of a module gets a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Version;
use crate::call::Failure;
use crate::desired::Digest;

/// 2^64 divided by the golden ratio. Its multiples spread evenly, however many they are.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The versions of a module that can get calls. A switch stores another one in one go.
#[derive(Debug)]
pub(crate) struct Serving {
    /// The version that serves, or why there is none.
    pub(crate) stable: Result<Arc<Version>, Arc<str>>,
    pub(crate) canary: Option<Slice>,
    /// Versions that get only calls that name them.
    pub(crate) warm: Box<[Arc<Version>]>,
}

/// A canary with its share of the calls.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) version: Arc<Version>,
    pub(crate) share: u8,
    turn: AtomicU64,
}

impl Slice {
    pub(crate) fn new(version: Arc<Version>, share: u8) -> Self {
        Self { version, share, turn: AtomicU64::new(0) }
    }

    /// Returns whether the canary gets a call. Calls with one hash always get one answer; the other
    /// calls take turns.
    fn takes(&self, sticky: Option<u64>) -> bool {
        let place = match sticky {
            // The digest is part of it, so that not always the same callers get canaries.
            Some(hash) => mix(hash ^ self.version.digest.short()),
            None => self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN),
        };
        is_within(place, self.share)
    }
}

/// Returns whether a place lies in the first so many percent of all 2^64.
fn is_within(place: u64, share: u8) -> bool {
    (place >> 32).wrapping_mul(100) < u64::from(share) << 32
}

impl Serving {
    #[inline]
    pub(crate) fn pick(&self, sticky: Option<u64>) -> Result<&Arc<Version>, Failure> {
        match (&self.stable, &self.canary) {
            (Ok(stable), None) => Ok(stable),
            (Ok(stable), Some(canary)) => Ok(if canary.takes(sticky) { &canary.version } else { stable }),
            (Err(reason), _) => Err(Failure::NoVersion(Arc::clone(reason))),
        }
    }

    /// Returns the version with this digest.
    #[cold]
    pub(crate) fn named(&self, digest: Digest) -> Result<&Arc<Version>, Failure> {
        let canary = self.canary.as_ref().map(|canary| &canary.version);
        let mut known = self.stable.as_ref().ok().into_iter().chain(canary).chain(&self.warm);
        known.find(|version| version.digest == digest).ok_or(Failure::UnknownVersion)
    }
}

/// Spreads a number over all bits: the last step of MurmurHash3.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of 100,000 places the share takes, in percent.
    fn taken(share: u8, place: impl Fn(u64) -> u64) -> f64 {
        let taken = (0..100_000).filter(|turn| is_within(place(*turn), share)).count();
        taken as f64 / 1_000.0
    }

    #[test]
    fn a_share_is_kept_to_by_turns_and_by_hashes() {
        for share in [1, 5, 10, 33, 50, 99] {
            let by_turn = taken(share, |turn| turn.wrapping_mul(GOLDEN));
            assert!((by_turn - f64::from(share)).abs() < 0.01, "{share}: {by_turn}");
            // Hashes that differ in few bits, as counters do.
            for step in [1, 1 << 32, 0x10_0001] {
                let by_hash = taken(share, |number| mix(number.wrapping_mul(step) ^ 0x1234_5678_9abc_def0));
                assert!((by_hash - f64::from(share)).abs() < 0.5, "{share}: {by_hash}");
            }
        }
    }

    #[test]
    fn a_share_is_kept_to_from_the_first_calls_on() {
        for from in [0_u64, 17, 1_000_003] {
            let taken = (from..from + 20).filter(|turn| is_within(turn.wrapping_mul(GOLDEN), 50)).count();
            assert!((9..=11).contains(&taken), "{taken}");
        }
    }
}
