//! Converts wasmi's errors to our typed errors.

use antiphon::errors::{Error, ErrorKind};
use wasmi::TrapCode;
use wasmi::errors::ErrorKind as Wasmi;

use crate::data::{Data, Left};

/// Converts the error of a guest call or a start.
#[cold]
pub(crate) fn typed(error: wasmi::Error, data: &mut Data) -> Error {
    let error = match data.left.take() {
        // One of our imports returned this error.
        Some(Left::Failed(ours)) => ours,
        _ => from_wasmi(error),
    };
    data.limiter.growth.explain(error)
}

fn from_wasmi(error: wasmi::Error) -> Error {
    let code = error.as_trap_code();
    let kind = match (code, error.kind()) {
        (Some(TrapCode::StackOverflow), _) => ErrorKind::StackOverflow,
        (Some(TrapCode::OutOfFuel), _) => ErrorKind::OutOfFuel,
        (Some(_), _) => ErrorKind::Trapped,
        // Segments do not fit where they are placed.
        (None, Wasmi::Instantiation(_) | Wasmi::Memory(_) | Wasmi::Table(_)) => ErrorKind::Trapped,
        (None, _) => ErrorKind::Engine,
    };
    let message = code.map_or_else(|| error.to_string(), |code| code.to_string());
    Error::new(kind, message).with_source(error)
}
