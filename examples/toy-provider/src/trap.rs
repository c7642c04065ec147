//! Converts wasmi's errors into those that callers get.

use std::fmt;

use antiphon::errors::{Error, ErrorKind};
use wasmi::TrapCode;
use wasmi::errors::{ErrorKind as Kind, HostError, InstantiationError as Instantiation};

/// A typed error that passes through the interpreter.
#[derive(Debug)]
struct Raised(Error);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl HostError for Raised {}

/// Ends the guest from within an import.
pub(crate) fn raise(error: Error) -> wasmi::Error {
    wasmi::Error::host(Raised(error))
}

/// Returns the typed error for guest code that did not return.
pub(crate) fn typed(error: impl Into<wasmi::Error>) -> Error {
    let error = error.into();
    if error.downcast_ref::<Raised>().is_some() {
        return match error.downcast::<Raised>() {
            Some(Raised(error)) => error,
            None => unreachable!("it was there a moment ago"),
        };
    }
    let kind = match (error.as_trap_code(), error.kind()) {
        (Some(TrapCode::StackOverflow), _) => ErrorKind::StackOverflow,
        (Some(_), _) => ErrorKind::Trapped,
        // By WebAssembly's rules, an active segment that does not fit is a trap; wasmi has another
        // error for it.
        (None, Kind::Instantiation(Instantiation::ElementSegmentDoesNotFit { .. })) => ErrorKind::Trapped,
        (None, _) => ErrorKind::Engine,
    };
    Error::new(kind, error.to_string()).with_source(error)
}

/// Returns the typed error for a failed instantiation, which may have run the guest's `function`.
pub(crate) fn not_instantiated(function: &str, error: wasmi::Error) -> Error {
    use Instantiation::{FailedToInstantiateMemory, FailedToInstantiateTable, TooManyTables};
    match error.kind() {
        // The module needs more than the limits allow; no code has run.
        Kind::Instantiation(FailedToInstantiateMemory(_) | FailedToInstantiateTable(_) | TooManyTables) => {
            Error::new(ErrorKind::InvalidModule, error.to_string()).with_source(error)
        }
        _ => Error::init(function, typed(error)),
    }
}
