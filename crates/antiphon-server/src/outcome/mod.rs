//! One table: from what went wrong to its code, status, and whether trying again makes sense.
//!
//! Every transport, metric, span and log takes its words from here. `problem.rs` makes the document
//! that a client gets.

mod problem;
mod refusal;

use antiphon::errors::{ErrorKind, Fault, Phase};
use http::StatusCode;

use crate::call::Failure;

pub use problem::{About, Limit, Problem};
pub use refusal::Refusal;

/// What a failure means to a caller, in any transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The stable name, in snake case. It is the metric's label too.
    pub code: &'static str,
    /// What happened, in a few words that are always those of the code.
    pub title: &'static str,
    /// The status in HTTP, and the code of an error in NATS.
    pub status: StatusCode,
    /// Whether the call may go well if it is made once more as it is.
    pub retryable: bool,
    /// The seconds after which to try again, if the server can say.
    pub retry_after: Option<u32>,
    /// The party at fault.
    pub fault: Fault,
}

/// Seconds until a queue is likely to have a place.
const SOON: Option<u32> = Some(1);
/// Seconds until an operator or the machine may have changed something.
const LATER: Option<u32> = Some(5);

/// A line of the table: title, status, whether to try again, and after how many seconds.
type Line = (&'static str, StatusCode, bool, Option<u32>);

/// The table. Phase and fault change two kinds afterwards: see [`Verdict::of_kind`].
const fn line(kind: ErrorKind) -> Option<Line> {
    use ErrorKind as K;
    use StatusCode as S;
    Some(match kind {
        K::GuestFailed => ("The guest reported a failure", S::UNPROCESSABLE_ENTITY, false, None),
        K::GuestMisbehaved => ("The guest set neither answer nor error", S::BAD_GATEWAY, false, None),
        K::Trapped => ("The guest trapped", S::BAD_GATEWAY, false, None),
        K::StackOverflow => ("The guest overflowed its stack", S::BAD_GATEWAY, false, None),
        K::OutOfFuel => ("The guest ran out of fuel", S::BAD_GATEWAY, false, None),
        K::MemoryLimit => ("The guest is over its limit of memory", S::BAD_GATEWAY, false, None),
        K::HostCallLimit => ("The guest is over its limit of host calls", S::BAD_GATEWAY, false, None),
        K::TooLarge => ("The answer is over its limit", S::BAD_GATEWAY, false, None),
        K::DeadlineExceeded => ("The deadline passed", S::GATEWAY_TIMEOUT, false, None),
        K::Cancelled => ("The call was cancelled", S::SERVICE_UNAVAILABLE, false, None),
        K::Overloaded => ("The module's queue is full", S::SERVICE_UNAVAILABLE, true, SOON),
        K::InitFailed => ("No instance of the module starts", S::SERVICE_UNAVAILABLE, false, None),
        K::OutOfResources => ("The machine lacks resources", S::SERVICE_UNAVAILABLE, true, LATER),
        K::Reentrancy => ("The calls form a circle or are nested too deep", S::LOOP_DETECTED, false, None),
        K::Unsupported => ("The engine lacks an option", S::NOT_IMPLEMENTED, false, None),
        K::HostPanicked => ("A handler of the server panicked", S::INTERNAL_SERVER_ERROR, false, None),
        K::Engine => ("The engine failed", S::INTERNAL_SERVER_ERROR, false, None),
        K::InvalidModule => ("The module is not valid", S::UNPROCESSABLE_ENTITY, false, None),
        K::ReplaceFailed => ("The module was not replaced", S::CONFLICT, false, None),
        _ => return None,
    })
}

impl Verdict {
    /// Returns the verdict on an error of the library.
    #[must_use]
    pub fn of_error(error: &antiphon::Error) -> Self {
        Self::of_kind(error.kind(), error.fault(), error.phase())
    }

    /// Returns the verdict on a failed call.
    #[must_use]
    pub fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::UnknownModule => Refusal::UnknownModule.verdict(),
            Failure::UnknownVersion => Refusal::UnknownVersion.verdict(),
            Failure::NoVersion(_) => Self {
                code: "no_version",
                title: "No version of the module serves",
                status: StatusCode::SERVICE_UNAVAILABLE,
                retryable: true,
                retry_after: LATER,
                fault: Fault::Host,
            },
            Failure::Call(error) => Self::of_error(error),
        }
    }

    fn of_kind(kind: ErrorKind, fault: Fault, phase: Option<Phase>) -> Self {
        // A kind that the table does not know yet is the server's fault.
        let (title, status, retryable, retry_after) =
            line(kind).unwrap_or(("The call failed", StatusCode::INTERNAL_SERVER_ERROR, false, None));
        let verdict = Self { code: kind.code(), title, status, retryable, retry_after, fault };
        match (kind, fault, phase) {
            (ErrorKind::DeadlineExceeded, _, Some(Phase::Queue)) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self { status, retryable: true, retry_after: SOON, ..verdict }
            }
            // Nothing of the guest ran.
            (ErrorKind::DeadlineExceeded, _, Some(Phase::Rebuild)) => Self { retryable: true, ..verdict },
            (ErrorKind::TooLarge, Fault::Caller, _) => Self {
                title: Refusal::TooLarge { allowed: 0, used: 0 }.verdict().title,
                status: StatusCode::PAYLOAD_TOO_LARGE,
                ..verdict
            },
            _ => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon::Error;

    /// What the contract says of each kind: status, whether to try again, whether there is a
    /// `Retry-After`.
    const CONTRACT: &[(ErrorKind, u16, bool, bool)] = &[
        (ErrorKind::GuestFailed, 422, false, false),
        (ErrorKind::GuestMisbehaved, 502, false, false),
        (ErrorKind::Trapped, 502, false, false),
        (ErrorKind::StackOverflow, 502, false, false),
        (ErrorKind::OutOfFuel, 502, false, false),
        (ErrorKind::MemoryLimit, 502, false, false),
        (ErrorKind::HostCallLimit, 502, false, false),
        (ErrorKind::TooLarge, 502, false, false),
        (ErrorKind::DeadlineExceeded, 504, false, false),
        (ErrorKind::Overloaded, 503, true, true),
        (ErrorKind::InitFailed, 503, false, false),
        (ErrorKind::OutOfResources, 503, true, true),
        (ErrorKind::Reentrancy, 508, false, false),
        (ErrorKind::Unsupported, 501, false, false),
        (ErrorKind::HostPanicked, 500, false, false),
        (ErrorKind::Engine, 500, false, false),
        (ErrorKind::Cancelled, 503, false, false),
        (ErrorKind::InvalidModule, 422, false, false),
        (ErrorKind::ReplaceFailed, 409, false, false),
    ];

    #[test]
    fn every_kind_has_the_status_of_the_contract() {
        for kind in ErrorKind::ALL {
            assert!(line(*kind).is_some(), "{kind} has no line in the table");
            let (_, status, retryable, after) =
                CONTRACT.iter().find(|(known, ..)| known == kind).unwrap_or_else(|| panic!("{kind}"));
            let error = Error::new(*kind, "odd");
            let verdict = Verdict::of_error(&error);
            assert_eq!(verdict.code, kind.code());
            assert_eq!(verdict.fault, error.fault(), "{kind}");
            assert_eq!(
                (verdict.status.as_u16(), verdict.retryable, verdict.retry_after.is_some()),
                (*status, *retryable, *after),
                "{kind}"
            );
            assert!(verdict.status.is_client_error() || verdict.status.is_server_error());
        }
    }

    #[test]
    fn a_deadline_that_passed_in_the_queue_says_when_to_try_again() {
        for (phase, status, retryable, after) in [
            (Phase::Queue, 503, true, true),
            (Phase::Rebuild, 504, true, false),
            (Phase::Guest, 504, false, false),
            (Phase::HostCall, 504, false, false),
        ] {
            let verdict = Verdict::of_error(&Error::deadline(phase, "1 s", "2 s"));
            assert_eq!(
                (verdict.status.as_u16(), verdict.retryable, verdict.retry_after.is_some()),
                (status, retryable, after),
                "{phase}"
            );
        }
    }

    #[test]
    fn a_request_over_its_limit_is_the_fault_of_its_caller() {
        let request = Verdict::of_kind(ErrorKind::TooLarge, Fault::Caller, None);
        let answer = Verdict::of_kind(ErrorKind::TooLarge, Fault::Guest, None);
        assert_eq!((request.status.as_u16(), answer.status.as_u16()), (413, 502));
        assert_eq!((request.code, answer.code), ("too_large", "too_large"));
        assert_ne!(request.title, answer.title);
    }

    #[test]
    fn a_call_that_reaches_no_version_has_a_code_of_its_own() {
        for (failure, code, status) in [
            (Failure::UnknownModule, "unknown_module", 404),
            (Failure::UnknownVersion, "unknown_version", 404),
            (Failure::NoVersion("it traps in its start".into()), "no_version", 503),
        ] {
            let verdict = Verdict::of_failure(&failure);
            assert_eq!((verdict.code, verdict.status.as_u16()), (code, status));
        }
    }
}
