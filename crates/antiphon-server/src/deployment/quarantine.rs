//! Versions that do not work, and when they are tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::{Error, ErrorKind, Exceeded};

use super::status::Reason;
use crate::feed::now_ms;

/// The first pause before a version that does not start is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why a version does not serve.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    pub(crate) kind: ErrorKind,
    pub(crate) message: Arc<str>,
    pub(crate) exceeded: Option<Exceeded>,
    pub(crate) since_ms: u64,
    /// When it is tried again; never for a module that does not load, unless an operator says so.
    pub(crate) retry: Option<Instant>,
}

impl Quarantine {
    /// Creates the quarantine of a version that failed for the `strikes`th time, counted from 1.
    pub(crate) fn new(error: &Error, strikes: u32, now: Instant) -> Self {
        let kind = error.kind();
        // What the bytes and the settings decide fails again each time.
        let is_final = matches!(kind, ErrorKind::InvalidModule | ErrorKind::Unsupported);
        let pause =
            FIRST_PAUSE.saturating_mul(1_u32.checked_shl(strikes.saturating_sub(1)).unwrap_or(u32::MAX));
        Self {
            kind,
            message: error.to_string().into(),
            exceeded: error.exceeded(),
            since_ms: now_ms(),
            retry: if is_final { None } else { now.checked_add(pause.min(LONGEST_PAUSE)) },
        }
    }

    /// Returns whether the machine is to blame, and not the version.
    pub(crate) fn waits(&self) -> bool {
        self.kind == ErrorKind::OutOfResources
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.retry.is_some_and(|at| at <= now)
    }

    pub(crate) fn reason(&self) -> Reason {
        Reason { code: self.kind.code(), message: Arc::clone(&self.message) }
    }

    /// Returns the error once more, for an operator.
    pub(crate) fn error(&self) -> Error {
        let message = self.message.strip_prefix("Initialization failed: ").unwrap_or(&self.message);
        let error = Error::new(self.kind, message).never_born();
        match self.exceeded {
            Some(exceeded) => error.with_exceeded(exceeded),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_load_is_not_tried_again_and_what_does_not_start_is_with_growing_pauses() {
        let now = Instant::now();
        let quarantine = |kind, strikes| Quarantine::new(&Error::new(kind, "why"), strikes, now);
        let pause = |kind, strikes| Some(quarantine(kind, strikes).retry? - now);
        assert_eq!(pause(ErrorKind::InvalidModule, 1), None);
        assert_eq!(pause(ErrorKind::Unsupported, 1), None);
        let pauses = [1, 2, 3, 9, 32, 33, u32::MAX].map(|strikes| pause(ErrorKind::InitFailed, strikes));
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300].map(|seconds| Some(Duration::from_secs(seconds))));
        assert!(!quarantine(ErrorKind::InitFailed, 1).is_due(now));
        assert!(quarantine(ErrorKind::InitFailed, 1).is_due(now + FIRST_PAUSE));
        assert!(!quarantine(ErrorKind::InvalidModule, 1).is_due(now + LONGEST_PAUSE * 100));
        assert!(quarantine(ErrorKind::OutOfResources, 1).waits());
        assert!(!quarantine(ErrorKind::InitFailed, 1).waits());
    }

    #[test]
    fn an_operator_reads_the_error_as_it_was() {
        let error = Error::init("wapc_init", Error::out_of_fuel(7));
        let again = Quarantine::new(&error, 1, Instant::now()).error();
        assert_eq!((again.kind(), again.to_string()), (error.kind(), error.to_string()));
        assert_eq!(again.exceeded(), error.exceeded());
        assert_eq!(again.fate(), error.fate());
    }
}
