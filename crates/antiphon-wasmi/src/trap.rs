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
    match error.as_trap_code() {
        Some(code) => {
            let kind = match code {
                TrapCode::StackOverflow => ErrorKind::StackOverflow,
                TrapCode::OutOfFuel => ErrorKind::OutOfFuel,
                _ => ErrorKind::Trapped,
            };
            Error::new(kind, code.to_string()).with_source(error)
        }
        None => {
            let kind = match error.kind() {
                // Segments that do not fit where they are put.
                Wasmi::Instantiation(_) | Wasmi::Memory(_) | Wasmi::Table(_) => ErrorKind::Trapped,
                _ => ErrorKind::Engine,
            };
            Error::new(kind, error.to_string()).with_source(error)
        }
    }
}
