//! From what wasmi reports to what callers get.

use antiphon::errors::{Error, ErrorKind};
use wasmi::TrapCode;
use wasmi::errors::ErrorKind as Wasmi;

use crate::data::{Data, Left};

/// The typed error of a guest call or a start that did not return.
#[cold]
pub(crate) fn typed(error: wasmi::Error, data: &mut Data) -> Error {
    let error = match data.left.take() {
        // Returned by one of our imports.
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
        // Segments that do not fit where they are put.
        (None, Wasmi::Instantiation(_) | Wasmi::Memory(_) | Wasmi::Table(_)) => ErrorKind::Trapped,
        (None, _) => ErrorKind::Engine,
    };
    let message = code.map_or_else(|| error.to_string(), |code| code.to_string());
    Error::new(kind, message).with_source(error)
}
