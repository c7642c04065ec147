//! Expectations about failures, and about the time that they take.

use std::error::Error as StdError;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate, Fault, Phase};

/// The text that users of `wapc` 2.x match on.
pub(crate) const DEADLINE_TEXT: &str =
    "Guest call failure: guest code interrupted, execution deadline exceeded";

/// One row of the contract's table of kinds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) fault: Fault,
    pub(crate) fate: Fate,
    /// Whether guest code ran.
    pub(crate) entered: bool,
}

impl Failure {
    const fn new(kind: ErrorKind, fault: Fault, fate: Fate) -> Self {
        Self { kind, fault, fate, entered: true }
    }

    pub(crate) const GUEST_FAILED: Self = Self::new(ErrorKind::GuestFailed, Fault::Guest, Fate::Kept);
    pub(crate) const MISBEHAVED: Self = Self::new(ErrorKind::GuestMisbehaved, Fault::Guest, Fate::Kept);
    pub(crate) const TRAPPED: Self = Self::new(ErrorKind::Trapped, Fault::Guest, Fate::Discarded);
    pub(crate) const DEADLINE_IN_GUEST: Self =
        Self::new(ErrorKind::DeadlineExceeded, Fault::Guest, Fate::Discarded);
    pub(crate) const DEADLINE_IN_HOST: Self =
        Self::new(ErrorKind::DeadlineExceeded, Fault::Host, Fate::Discarded);
    pub(crate) const DEADLINE_BEFORE: Self =
        Self::new(ErrorKind::DeadlineExceeded, Fault::Host, Fate::Kept).before_the_guest();
    pub(crate) const CANCELLED: Self = Self::new(ErrorKind::Cancelled, Fault::Caller, Fate::Discarded);
    pub(crate) const CANCELLED_BEFORE: Self =
        Self::new(ErrorKind::Cancelled, Fault::Caller, Fate::Kept).before_the_guest();
    pub(crate) const OUT_OF_FUEL: Self = Self::new(ErrorKind::OutOfFuel, Fault::Guest, Fate::Discarded);
    pub(crate) const STACK_OVERFLOW: Self =
        Self::new(ErrorKind::StackOverflow, Fault::Guest, Fate::Discarded);
    pub(crate) const MEMORY_LIMIT: Self = Self::new(ErrorKind::MemoryLimit, Fault::Guest, Fate::Discarded);
    pub(crate) const HOST_CALL_LIMIT: Self =
        Self::new(ErrorKind::HostCallLimit, Fault::Guest, Fate::Discarded);
    pub(crate) const REQUEST_TOO_LARGE: Self =
        Self::new(ErrorKind::TooLarge, Fault::Caller, Fate::Kept).before_the_guest();
    pub(crate) const RESPONSE_TOO_LARGE: Self = Self::new(ErrorKind::TooLarge, Fault::Guest, Fate::Discarded);
    pub(crate) const HOST_PANICKED: Self = Self::new(ErrorKind::HostPanicked, Fault::Host, Fate::Discarded);
    pub(crate) const REENTRANCY: Self = Self::new(ErrorKind::Reentrancy, Fault::Caller, Fate::Kept);
    pub(crate) const INVALID_MODULE: Self =
        Self::new(ErrorKind::InvalidModule, Fault::Caller, Fate::NeverBorn);
    pub(crate) const INIT_FAILED: Self = Self::new(ErrorKind::InitFailed, Fault::Guest, Fate::NeverBorn);
    pub(crate) const UNSUPPORTED: Self = Self::new(ErrorKind::Unsupported, Fault::Caller, Fate::NeverBorn);
    pub(crate) const REPLACE_FAILED: Self = Self::new(ErrorKind::ReplaceFailed, Fault::Caller, Fate::Kept);

    const fn before_the_guest(mut self) -> Self {
        self.entered = false;
        self
    }

    /// Compares an error with the row, including its code.
    #[track_caller]
    pub(crate) fn check(&self, error: &Error) {
        assert_eq!(
            (error.kind(), error.fault(), error.fate()),
            (self.kind, self.fault, self.fate),
            "kind, fault, fate of: {error:#?}"
        );
        assert_eq!(error.code(), self.kind.code());
    }
}

/// Expects a deadline that passed in `phase`: with the text that users match on, unless the guest
/// was not called.
#[track_caller]
pub(crate) fn deadline_in(error: &Error, phase: Phase) {
    assert_eq!(error.phase(), Some(phase), "{error:#?}");
    let text = match phase {
        Phase::Queue => "no instance was free in time, execution deadline exceeded",
        Phase::Rebuild => "no instance was started in time, execution deadline exceeded",
        _ => DEADLINE_TEXT,
    };
    assert_eq!(error.to_string(), text);
    assert!(error.is_deadline());
}

/// Returns the nearest Antiphon error among the sources.
#[track_caller]
pub(crate) fn cause(error: &Error) -> &Error {
    let mut source = error.source();
    while let Some(at) = source {
        if let Some(ours) = at.downcast_ref() {
            return ours;
        }
        source = at.source();
    }
    panic!("no typed source: {error:#?}")
}

/// Expects a text that contains each part.
#[track_caller]
pub(crate) fn says(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// How early a deadline may come: a tick that is late by less than this counts as on time.
const EARLY: Duration = Duration::from_millis(1);

/// Expects that a call which ended by its deadline took about that long: hardly less, and little
/// more.
#[track_caller]
pub(crate) fn took(elapsed: Duration, deadline: Duration) {
    assert!(elapsed + EARLY >= deadline, "ended after {elapsed:?}, before its deadline of {deadline:?}");
    soon(elapsed, deadline);
}

/// Expects an end at most a little after `limit`. The contract promises two ticks; the slack is for
/// busy machines.
#[track_caller]
pub(crate) fn soon(elapsed: Duration, limit: Duration) {
    let slack = slack();
    assert!(elapsed < limit + slack, "took {elapsed:?}, more than {limit:?} and a slack of {slack:?}");
}

/// Returns how late an end may be: `ANTIPHON_CONFORMANCE_SLACK_MS`, 500 ms by default.
pub(crate) fn slack() -> Duration {
    let set = std::env::var("ANTIPHON_CONFORMANCE_SLACK_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(set.unwrap_or(500))
}
