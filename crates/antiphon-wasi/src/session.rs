//! The state of one instance.

use crate::call::LogFn;
use crate::random::Random;
use crate::stdio::{Descriptors, Output};
use crate::time::Clocks;
use crate::world::World;

/// The state of one instance: output without a newline yet, closed descriptors, and the position in
/// a deterministic world's time and random bytes.
///
/// It belongs in the engine's store, beside the rest of the host's state, and is dropped with the
/// instance.
#[derive(Debug)]
pub struct Session {
    pub(crate) world: World,
    pub(crate) descriptors: Descriptors,
    pub(crate) output: Output,
    pub(crate) clocks: Clocks,
    pub(crate) random: Random,
    pub(crate) exit_code: Option<u32>,
}

impl Session {
    pub(crate) fn new(world: World) -> Session {
        let mode = world.mode();
        Session {
            world,
            descriptors: Descriptors::default(),
            output: Output::default(),
            clocks: Clocks::new(mode),
            random: Random::new(mode),
            exit_code: None,
        }
    }

    /// Returns the world of this instance.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Returns the code that the guest passed to `proc_exit`, if it did.
    pub fn exit_code(&self) -> Option<u32> {
        self.exit_code
    }

    /// Logs what the guest wrote since its last newline, on each stream.
    ///
    /// The host calls this when a call of the guest ends, whatever its result.
    pub fn flush(&mut self, log: &mut LogFn<'_>) {
        self.output.flush(log);
    }

    /// Returns how many bytes of output were dropped so far, because they exceeded the limit of a
    /// line or of a write.
    pub fn dropped(&self) -> u64 {
        self.output.dropped()
    }
}
