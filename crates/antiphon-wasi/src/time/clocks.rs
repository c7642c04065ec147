//! The clocks: real time and a monotonic clock.

use std::time::{Duration, Instant, SystemTime};

use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;
use crate::world::Mode;

/// The time of the monotonic clock when a session begins, in nanoseconds. It is not zero, because
/// Go's runtime takes zero for a broken clock.
const MONOTONIC_START: u64 = 1_000_000_000;

/// The resolution that both clocks report, in nanoseconds.
const RESOLUTION: u64 = 1;

/// A clock that the guest may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    Realtime,
    Monotonic,
}

impl Clock {
    /// Returns the clock of a number. A sealed world does not count CPU time, so the two clocks
    /// that show it are as unknown as any other number.
    pub(crate) fn of_id(id: u32) -> Result<Clock, Errno> {
        match id {
            0 => Ok(Clock::Realtime),
            1 => Ok(Clock::Monotonic),
            _ => Err(Errno::Inval),
        }
    }
}

/// The time of both clocks at one moment, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) realtime: u64,
    pub(crate) monotonic: u64,
}

/// The clocks of one instance.
#[derive(Debug)]
pub(crate) enum Clocks {
    /// The system's clocks. The monotonic one begins with the session, so that it reveals nothing
    /// about the host.
    System { start: Instant },
    /// Clocks that only waits move.
    Fixed(Now),
}

impl Clocks {
    pub(crate) fn new(mode: Mode) -> Clocks {
        match mode {
            Mode::System => Clocks::System { start: Instant::now() },
            Mode::Deterministic { clock, .. } => {
                Clocks::Fixed(Now { realtime: nanoseconds(clock), monotonic: MONOTONIC_START })
            }
        }
    }

    pub(crate) fn now(&self) -> Now {
        match self {
            Clocks::System { .. } => {
                Now { realtime: self.read(Clock::Realtime), monotonic: self.read(Clock::Monotonic) }
            }
            Clocks::Fixed(now) => *now,
        }
    }

    pub(crate) fn read(&self, clock: Clock) -> u64 {
        match (self, clock) {
            // If the host's clock is set before 1970, the guest sees 1970.
            (Clocks::System { .. }, Clock::Realtime) => {
                nanoseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
            }
            (Clocks::System { start }, Clock::Monotonic) => {
                nanoseconds(start.elapsed()).saturating_add(MONOTONIC_START)
            }
            (Clocks::Fixed(now), Clock::Realtime) => now.realtime,
            (Clocks::Fixed(now), Clock::Monotonic) => now.monotonic,
        }
    }

    /// Moves the clocks if they are virtual, and returns whether they are.
    pub(crate) fn advance(&mut self, by: u64) -> bool {
        match self {
            Clocks::System { .. } => false,
            Clocks::Fixed(now) => {
                now.realtime = now.realtime.saturating_add(by);
                now.monotonic = now.monotonic.saturating_add(by);
                true
            }
        }
    }
}

/// Converts a duration to nanoseconds, up to what 64 bits hold (the year 2554).
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Call<'_> {
    /// Writes a clock's resolution, in nanoseconds. `EINVAL` for any clock but real time (0) and
    /// monotonic (1).
    pub fn clock_res_get(&mut self, clock: i32, resolution: i32) -> Result<i32, Stop> {
        let outcome = Clock::of_id(clock.cast_unsigned())
            .map_err(Failure::from)
            .and_then(|_| Ok(memory::store_u64(self.memory, wide(resolution), RESOLUTION)?));
        settle("clock_res_get", outcome)
    }

    /// Writes a clock's time, in nanoseconds. `EINVAL` for any clock but real time (0) and
    /// monotonic (1).
    pub fn clock_time_get(&mut self, clock: i32, _precision: i64, time: i32) -> Result<i32, Stop> {
        let outcome = Clock::of_id(clock.cast_unsigned()).map_err(Failure::from).and_then(|clock| {
            let now = self.session.clocks.read(clock);
            Ok(memory::store_u64(self.memory, wide(time), now)?)
        });
        settle("clock_time_get", outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Guest;

    #[test]
    fn system_clocks_show_this_century_and_go_forward() {
        let clocks = Clocks::new(Mode::System);
        let (one, two) = (clocks.now(), clocks.now());
        assert!(one.realtime > 1_700_000_000_000_000_000);
        assert!(one.monotonic >= MONOTONIC_START);
        assert!(two.monotonic >= one.monotonic);
    }

    #[test]
    fn fixed_clocks_move_only_when_told_and_do_not_wrap() {
        let clock = Duration::from_nanos(5);
        let mut clocks = Clocks::new(Mode::Deterministic { seed: 0, clock });
        assert_eq!(clocks.now(), Now { realtime: 5, monotonic: MONOTONIC_START });
        assert_eq!(clocks.now(), Now { realtime: 5, monotonic: MONOTONIC_START });
        assert!(clocks.advance(7));
        assert_eq!(clocks.read(Clock::Realtime), 12);
        assert!(clocks.advance(u64::MAX));
        assert_eq!(clocks.now(), Now { realtime: u64::MAX, monotonic: u64::MAX });
    }

    #[test]
    fn cpu_time_is_no_clock_of_a_sealed_world() {
        for id in [2, 3, 4, u32::MAX] {
            assert_eq!(Clock::of_id(id), Err(Errno::Inval));
        }
    }

    #[test]
    fn a_time_beyond_64_bits_is_the_last_one() {
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_guest_reads_the_clocks() {
        let mut guest = Guest::deterministic();
        assert_eq!(guest.call(|call| call.clock_time_get(0, 0, 0)), Ok(0));
        assert_eq!(guest.call(|call| call.clock_time_get(1, 0, 8)), Ok(0));
        assert_eq!((guest.u64_at(0), guest.u64_at(8)), (1_000_000_000_000, MONOTONIC_START));
        assert_eq!(guest.call(|call| call.clock_res_get(1, 0)), Ok(0));
        assert_eq!(guest.u64_at(0), 1);
        for id in [2, 3, -1] {
            assert_eq!(guest.call(|call| call.clock_time_get(id, 0, 0)), Ok(28));
            assert_eq!(guest.call(|call| call.clock_res_get(id, 0)), Ok(28));
        }
        assert!(guest.call(|call| call.clock_time_get(0, 0, 65_529)).is_err());
    }
}
