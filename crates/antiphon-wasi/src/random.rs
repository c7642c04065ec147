//! Random bytes, from the system or from a seed.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;
use crate::session::Session;
use crate::world::Mode;

/// How many bytes come directly from the system. For more, the system makes a key, and a stream
/// cipher stretches it: the system takes seconds for a gigabyte, and no deadline can interrupt it.
const DIRECT: usize = 1024;

/// The source of random bytes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an instance is to cost no allocation")]
pub(crate) enum Random {
    System,
    Seeded(ChaCha20Rng),
}

impl Random {
    pub(crate) fn new(mode: Mode) -> Random {
        match mode {
            Mode::System => Random::System,
            Mode::Deterministic { seed, .. } => {
                // Written out, because `seed_from_u64` may change from one version to the next.
                let mut key = [0; 32];
                for (byte, seed) in key.iter_mut().zip(seed.to_le_bytes()) {
                    *byte = seed;
                }
                Random::Seeded(ChaCha20Rng::from_seed(key))
            }
        }
    }

    /// Fills a buffer. Returns `EIO` if the system has no entropy.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Errno> {
        match self {
            Random::Seeded(stream) => stream.fill_bytes(buffer),
            Random::System if buffer.len() <= DIRECT => getrandom::fill(buffer).map_err(|_| Errno::Io)?,
            Random::System => {
                let mut key = [0; 32];
                getrandom::fill(&mut key).map_err(|_| Errno::Io)?;
                ChaCha20Rng::from_seed(key).fill_bytes(buffer);
            }
        }
        Ok(())
    }
}

impl Session {
    /// Returns a random number for AssemblyScript's `env.seed`, or `None` if the system has no
    /// entropy. It is made of the next eight random bytes, is finite, and is greater than 0:
    /// AssemblyScript takes its bits and wants some of them set.
    pub fn seed(&mut self) -> Option<f64> {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes).ok()?;
        Some(f64::from_bits(u64::from_le_bytes(bytes) >> 2 | 1))
    }
}

impl Call<'_> {
    /// Fills a buffer with random bytes, in place. Returns `EIO` if the system has none.
    pub fn random_get(&mut self, buffer: i32, length: i32) -> Result<i32, Stop> {
        let outcome = memory::span(self.memory, wide(buffer), wide(length))
            .map_err(Failure::from)
            .and_then(|buffer| Ok(self.session.random.fill(buffer)?));
        settle("random_get", outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::World;
    use crate::fixture::Guest;

    #[test]
    fn a_seed_yields_the_key_stream_that_the_docs_promise() {
        let mut random = Random::new(Mode::Deterministic { seed: 0, clock: Duration::ZERO });
        let mut bytes = [0; 8];
        random.fill(&mut bytes).expect("a stream does not fail");
        // RFC 8439, appendix A.1, test vector 1: key, nonce and counter zero.
        assert_eq!(bytes, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        random.fill(&mut bytes).expect("a stream does not fail");
        assert_eq!(bytes, [0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28]);
    }

    #[test]
    fn the_system_fills_small_and_large_buffers() {
        for size in [DIRECT, DIRECT + 1] {
            let (mut one, mut two) = (vec![0; size], vec![0; size]);
            Random::System.fill(&mut one).expect("the system has entropy");
            Random::System.fill(&mut two).expect("the system has entropy");
            assert_ne!(one, two);
            assert!(one.iter().rev().take(64).any(|byte| *byte != 0));
        }
    }

    #[test]
    fn two_sessions_of_a_deterministic_world_get_the_same_bytes() {
        let (mut one, mut two) = (Guest::deterministic(), Guest::deterministic());
        for guest in [&mut one, &mut two] {
            assert_eq!(guest.call(|call| call.random_get(0, 5)), Ok(0));
            assert_eq!(guest.call(|call| call.random_get(5, 5000)), Ok(0));
        }
        assert_eq!(one.memory, two.memory);
        assert_eq!(one.memory[5005..], vec![0; 65_536 - 5005]);
    }

    #[test]
    fn a_seed_for_assembly_script_is_made_of_the_next_bytes_and_is_always_a_positive_number() {
        let seeded = || World::default().deterministic(0, Duration::ZERO).session();
        let mut session = seeded();
        // The first two words of the stream that the first test has.
        for word in [0x903d_f1a0_ade0_b876_u64, 0x28bd_8653_e56a_5d40] {
            assert_eq!(session.seed().map(f64::to_bits), Some(word >> 2 | 1));
        }
        assert_ne!(World::default().session().seed(), World::default().session().seed());
        for _ in 0..10_000 {
            let seed = session.seed().expect("a stream does not fail");
            assert!(seed > 0.0 && seed.is_finite(), "{seed:?}");
        }
    }

    #[test]
    fn a_buffer_that_leaves_memory_is_a_fault_and_none_is_filled() {
        let mut guest = Guest::deterministic();
        for (buffer, length) in [(0, -1), (-1, -1), (65_535, 2), (1, 65_536)] {
            assert!(guest.call(|call| call.random_get(buffer, length)).is_err());
        }
        assert_eq!(guest.memory, vec![0; 65_536]);
        assert_eq!(guest.call(|call| call.random_get(0, 65_536)), Ok(0));
        assert_eq!(guest.call(|call| call.random_get(-1, 0)), Ok(0));
    }
}
