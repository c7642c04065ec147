//! The limits of a process where nothing else is set.

use std::sync::OnceLock;

use antiphon_protocol::Limits;

use crate::errors::{Error, ErrorKind, Result};

static DEFAULTS: OnceLock<Limits> = OnceLock::new();

/// Replaces the defaults of [`Limits`] in the whole process, for programs whose hosts are made by
/// code that sets none, such as [`WapcHost::new`](crate::WapcHost::new) in a library.
///
/// A limit that is set here holds for every host and provider that does not set it, instead of the
/// built-in default. Like that one, it never competes with a value that was set: where the host or
/// the provider sets the limit, only those two count, and the stricter one holds. Default deadlines
/// do not apply where the built-in ones do not: to guests that count epoch ticks, and to those that
/// are deterministic or cannot be interrupted. A default of fuel is never left out: a provider
/// whose engine counts none, such as one on an engine of the caller's own, then refuses to start
/// guests, and the error names the default.
///
/// It is called once, before the program makes its first provider or host.
///
/// ```standalone_crate
/// use antiphon::{Limits, WapcHost, set_default_limits, testing::TestEngine};
///
/// set_default_limits(Limits::new().response(64))?;
///
/// let host = WapcHost::new(Box::new(TestEngine::new().operation("shout", |text| Ok(text.repeat(100)))), None)?;
/// assert_eq!(host.call("shout", b"hi").unwrap_err().exceeded().unwrap().allowed, 64);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported): the defaults were set before, or the process has made a
/// provider or a host. Nothing changes.
pub fn set_default_limits(limits: Limits) -> Result<()> {
    DEFAULTS.set(limits).map_err(|_| {
        Error::new(
            ErrorKind::Unsupported,
            "the default limits of this process are fixed: they are set once, before its first provider or host",
        )
    })
}

/// Returns the limits that hold in this process where nothing else is set: those of
/// [`set_default_limits`]. A field is `None` where the built-in default holds. From the first call
/// on they are fixed; hosts and providers make one when they are built.
#[must_use]
pub fn default_limits() -> Limits {
    *DEFAULTS.get_or_init(Limits::new)
}
