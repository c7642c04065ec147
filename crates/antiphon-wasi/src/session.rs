//! The state of one instance.

use crate::call::LogFn;
use crate::random::Random;
use crate::stdio::{Descriptors, Output};
use crate::time::Clocks;
use crate::world::World;

/// The state of one instance: what it wrote and did not end with a newline, which of its descriptors it closed, its
/// place in a deterministic world's time and random bytes.
///
/// Belongs in the engine's store, next to the rest of the host's state; goes when the instance goes.
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

    /// The world that this instance lives in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The code that the guest gave to `proc_exit`, once it did.
    pub fn exit_code(&self) -> Option<u32> {
        self.exit_code
    }

    /// Hands over what the guest wrote since its last newline, on each stream.
    ///
    /// The host calls it when a call of the guest ends, however it ends.
    pub fn flush(&mut self, log: &mut LogFn<'_>) {
        self.output.flush(log);
    }

    /// How many bytes of output were not handed to the log so far, for being beyond a line's or a write's limit.
    pub fn dropped(&self) -> u64 {
        self.output.dropped()
    }
}
