//! The state of one instance.

use crate::abi::Errno;
use crate::call::LogFn;
use crate::dirs::Directories;
use crate::random::Random;
use crate::stdio::{Descriptor, Descriptors, Output};
use crate::time::Clocks;
use crate::world::World;

/// The state of one instance: output without a newline yet, descriptors, and the position in a
/// deterministic world's time and random bytes.
///
/// It belongs in the engine's store, beside the rest of the host's state, and is dropped with the
/// instance.
#[derive(Debug)]
pub struct Session {
    pub(crate) world: World,
    /// The standard streams at their own numbers.
    pub(crate) descriptors: Descriptors,
    /// All other descriptors, if the guest was granted a directory. Boxed, because most guests were
    /// not.
    pub(crate) dirs: Option<Box<Directories>>,
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
            dirs: None,
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

    /// Returns the standard stream that a number stands for, or `EBADF` if it is not open or
    /// another thing.
    #[inline]
    pub(crate) fn stream(&self, fd: i32) -> Result<Descriptor, Errno> {
        self.descriptors.get(fd).or_else(|errno| self.moved_stream(fd).ok_or(errno))
    }

    #[cold]
    fn moved_stream(&self, fd: i32) -> Option<Descriptor> {
        self.dirs.as_ref()?.stream(fd)
    }

    /// Returns whether a number is open.
    pub(crate) fn is_open(&self, fd: i32) -> bool {
        self.descriptors.get(fd).is_ok() || self.dirs.as_ref().is_some_and(|dirs| dirs.is_open(fd))
    }

    /// Returns whether a number is a file.
    pub(crate) fn is_file(&self, fd: i32) -> bool {
        self.dirs.as_ref().is_some_and(|dirs| dirs.is_file(fd))
    }

    /// Closes a descriptor, or returns `EBADF` if it is not open.
    pub(crate) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        match (self.descriptors.close(fd), &mut self.dirs) {
            (Err(_), Some(dirs)) => dirs.close(fd),
            (closed, _) => closed,
        }
    }

    /// Moves descriptor `from` onto `to`, or returns `EBADF` if one of them is not open.
    pub(crate) fn renumber(&mut self, from: i32, to: i32) -> Result<(), Errno> {
        match &mut self.dirs {
            Some(dirs) => dirs.renumber(&mut self.descriptors, from, to),
            None => self.descriptors.renumber(from, to),
        }
    }

    /// Returns how many bytes of output were dropped so far, because they exceeded the limit of a
    /// line or of a write.
    pub fn dropped(&self) -> u64 {
        self.output.dropped()
    }
}
