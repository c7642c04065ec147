//! Converts wasmi's errors to our typed errors.

use antiphon::errors::{Error, ErrorKind, Resource};
use wasmi::TrapCode;
use wasmi::errors::{ErrorKind as Wasmi, InstantiationError, MemoryError, TableError};

use crate::data::{Data, Left};

/// Converts the error of a guest call or a start.
#[cold]
pub(crate) fn typed(error: wasmi::Error, data: &mut Data) -> Error {
    let error = match data.left.take() {
        // One of our imports returned this error.
        Some(Left::Failed(ours)) => ours,
        _ => match (error.as_trap_code(), data.stack) {
            (Some(TrapCode::StackOverflow), Some(limit)) => Error::stack_overflow(limit).with_source(error),
            _ => from_wasmi(error),
        },
    };
    data.limiter.growth.explain(error)
}

/// Returns the error of a module that wasmi refused.
#[cold]
pub(crate) fn refused(error: wasmi::Error) -> Error {
    if lacks_memory(&error) {
        let lacks = Error::out_of_resources(Resource::Memory, "the code of a module");
        return lacks.with_source(error).never_born();
    }
    Error::invalid_module(error)
}

/// Returns whether the system had no memory for something that wasmi allocates.
fn lacks_memory(error: &wasmi::Error) -> bool {
    match error.kind() {
        Wasmi::TrapCode(TrapCode::OutOfSystemMemory)
        | Wasmi::Memory(MemoryError::OutOfSystemMemory)
        | Wasmi::Table(TableError::OutOfSystemMemory)
        | Wasmi::Instantiation(
            InstantiationError::FailedToInstantiateMemory(MemoryError::OutOfSystemMemory)
            | InstantiationError::FailedToInstantiateTable(TableError::OutOfSystemMemory),
        ) => true,
        // Its type has no name outside of wasmi.
        Wasmi::Translation(error) => error.to_string().starts_with("ran out of system memory"),
        _ => false,
    }
}

fn from_wasmi(error: wasmi::Error) -> Error {
    if lacks_memory(&error) {
        let what = "an instance, its stack or the code that it runs";
        return Error::out_of_resources(Resource::Memory, what).with_source(error);
    }
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
