//! The limit that ended a call, in numbers.

use std::fmt;
use std::time::Duration;

use antiphon_protocol::{HostCallBudget, Violation};

/// The unit of limits of time.
const MICROSECONDS: &str = "us";

/// A limit that ended a call: its name, what it allows, and what was used of it or asked for.
///
/// ```
/// use antiphon::{Limits, WapcHost, testing::TestEngine};
///
/// let engine = TestEngine::new().operation("shout", |text| Ok(text.repeat(100)));
/// let limits = Limits::new().response(64);
/// let host = WapcHost::builder(Box::new(engine)).limits(limits).build()?;
///
/// let exceeded = host.call("shout", b"hi").unwrap_err().exceeded().unwrap();
/// assert_eq!((exceeded.limit, exceeded.allowed, exceeded.used, exceeded.unit), ("response", 64, 200, "bytes"));
/// assert_eq!(exceeded.to_string(), "response: 200 of 64 bytes");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exceeded {
    /// The limit's name, which is that of its field of [`Limits`](crate::Limits). It is stable.
    pub limit: &'static str,
    /// The amount that the limit allows.
    pub allowed: u64,
    /// The amount that was used when the call ended; for sizes, the amount that was asked for.
    pub used: u64,
    /// The unit of both: `us`, `bytes`, `elements`, `calls`, `units` (of fuel), `ticks`.
    pub unit: &'static str,
}

impl Exceeded {
    /// Creates an exceeded limit. Engines use it for the limits that they keep themselves.
    #[must_use]
    pub const fn new(limit: &'static str, allowed: u64, used: u64, unit: &'static str) -> Self {
        Self { limit, allowed, used, unit }
    }

    /// Creates an exceeded limit of time.
    pub(crate) fn time(limit: &'static str, allowed: Duration, used: Duration) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self::new(limit, micros(allowed), micros(used), MICROSECONDS)
    }

    /// Returns the limit that the protocol refused something by, if it was a limit.
    pub(super) fn of_violation(violation: &Violation) -> Option<Self> {
        match *violation {
            // An operation has the limit of all names.
            Violation::TooLarge { what: "operation", size, limit, .. } => {
                Some(Self::new("name", limit, size, "bytes"))
            }
            Violation::TooLarge { what, size, limit, .. } => Some(Self::new(what, limit, size, "bytes")),
            Violation::HostCallLimit { budget: HostCallBudget::Calls, limit, used, .. } => {
                Some(Self::new("host_calls", limit, used, "calls"))
            }
            Violation::HostCallLimit { budget: HostCallBudget::Bytes, limit, used, .. } => {
                Some(Self::new("host_call_bytes", limit, used, "bytes"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, allowed, used, unit } = *self;
        if unit == MICROSECONDS {
            return write!(f, "{limit}: {:?} of {:?}", rounded(used), Duration::from_micros(allowed));
        }
        write!(f, "{limit}: {used} of {allowed} {unit}")
    }
}

/// Returns a time of so many microseconds, without those after whole milliseconds where they say
/// nothing.
fn rounded(micros: u64) -> Duration {
    let time = Duration::from_micros(micros);
    if time < Duration::from_millis(10) { time } else { Duration::from_millis(micros.div_euclid(1_000)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_the_unit_that_suits_it_and_counted_in_microseconds() {
        for (allowed, used, text) in [
            (2_000_000, 2_003_417, "deadline: 2.003s of 2s"),
            (50_000, 55_123, "deadline: 55ms of 50ms"),
            (1_500, 5_123, "deadline: 5.123ms of 1.5ms"),
            (0, 7, "deadline: 7µs of 0ns"),
        ] {
            let micros = Duration::from_micros;
            let exceeded = Exceeded::time("deadline", micros(allowed), micros(used));
            assert_eq!((exceeded.allowed, exceeded.used, exceeded.unit), (allowed, used, "us"));
            assert_eq!(exceeded.to_string(), text);
        }
        assert_eq!(Exceeded::new("fuel", 1, 2, "units").to_string(), "fuel: 2 of 1 units");
    }
}
