//! The process: exit, signals, yielding.

mod arguments;
mod strings;

pub(crate) use strings::Strings;
pub use strings::{MAX_STRINGS, WorldError};

use crate::abi::{Errno, Stop};
use crate::call::Call;

impl Call<'_> {
    /// Ends the guest's call, and remembers the code.
    ///
    /// # Errors
    ///
    /// Always [`Stop::Exit`], whatever the code is.
    pub fn proc_exit(&mut self, code: i32) -> Result<(), Stop> {
        let code = code.cast_unsigned();
        self.session.exit_code = Some(code);
        Err(Stop::Exit(code))
    }

    /// Sends the guest a signal: `ENOTSUP`.
    pub fn proc_raise(&mut self, _signal: i32) -> Result<i32, Stop> {
        Ok(Errno::Notsup.into())
    }

    /// Yields to other threads, of which there are none: returns 0 at once.
    pub fn sched_yield(&mut self) -> Result<i32, Stop> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Guest;
    use crate::{Stop, World};

    #[test]
    fn an_exit_carries_any_code_and_is_remembered() {
        let mut guest = Guest::new(&World::default());
        assert_eq!(guest.session.exit_code(), None);
        for (code, exit) in [(0, 0), (125, 125), (126, 126), (-1, u32::MAX)] {
            assert_eq!(guest.call(|call| call.proc_exit(code)), Err(Stop::Exit(exit)));
            assert_eq!(guest.session.exit_code(), Some(exit));
        }
    }

    #[test]
    fn signals_are_not_supported_and_yielding_is_done_at_once() {
        let mut guest = Guest::new(&World::default());
        assert_eq!(guest.call(|call| call.proc_raise(6)), Ok(58));
        assert_eq!(guest.call(|call| call.sched_yield()), Ok(0));
    }
}
