//! The limit that ended a call, in numbers.

use std::fmt;
use std::time::Duration;

use antiphon_protocol::{HostCallBudget, Violation};

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
        Self::new(limit, micros(allowed), micros(used), "us")
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
        let Self { limit, allowed, used, unit } = self;
        write!(f, "{limit}: {used} of {allowed} {unit}")
    }
}
