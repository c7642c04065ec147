//! Maps by numbers of our own making, which nobody can choose so that they meet.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are numbers that were counted, not read from anywhere. A tenth of the cost of the standard hash, which is
/// for keys that come from an enemy.
pub(super) type ByNumber = BuildHasherDefault<NumberHasher>;

/// Mixes numbers. Only they can be hashed with it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        // An odd constant without a pattern: 2^64 by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// A map looks at the lowest bits and at the highest ones; a product has the best ones above.
    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};
    use std::hash::{BuildHasher, Hash};

    #[test]
    fn numbers_that_follow_each_other_spread_over_the_bits_that_a_map_looks_at() {
        let hash = |key: (usize, usize, usize)| ByNumber::default().hash_one(key);
        let (mut low, mut high) = (HashMap::<u64, u32>::new(), HashMap::<u64, u32>::new());
        for key in (1..=16).flat_map(|a| (0..16).flat_map(move |b| (0..16).map(move |c| (a, b, c)))) {
            *low.entry(hash(key) & 0xfff).or_default() += 1;
            *high.entry(hash(key) >> 57).or_default() += 1;
        }
        // 4,096 keys: about one for each of 4,096 places, and 32 for each of the 128 marks.
        assert!(low.len() > 2000 && low.values().all(|keys| *keys < 12), "{} places", low.len());
        assert!(high.len() == 128 && high.values().all(|keys| *keys < 100), "{high:?}");
    }

    #[test]
    fn other_keys_are_told_apart_as_well() {
        fn hash(key: impl Hash) -> u64 {
            ByNumber::default().hash_one(key)
        }
        let hashes: HashSet<_> = ["", "a", "b", "ab", "ba"].map(hash).into();
        assert_eq!(hashes.len(), 5);
        assert_ne!(hash(1_u64), hash(2_u64));
    }
}
