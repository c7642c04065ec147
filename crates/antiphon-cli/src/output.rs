//! Writing to standard output.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes bytes to standard output as they are. A reader that has gone away has read what it wanted.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
