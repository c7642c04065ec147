//! Maps whose keys are numbers of our own making, which no guest can choose so that they collide.

use std::hash::{BuildHasherDefault, Hasher};

/// A hasher for maps whose keys are numbers that we counted. It costs a tenth of the standard hash,
/// which is for keys that an attacker may choose.
pub(super) type ByNumber = BuildHasherDefault<NumberHasher>;

/// Mixes numbers. It is meant for no other keys.
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
        // An odd constant without a pattern: 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// Returns the hash. A map looks at the lowest and the highest bits of it, and in a product the
    /// high bits are the well mixed ones.
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
