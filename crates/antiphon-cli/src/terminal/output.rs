//! Writing to standard output.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes bytes to standard output as they are. A reader that has gone away has read what it wanted.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    flushed(stdout.write_all(bytes))
}

/// Makes sure that what was written to standard output has left the program.
pub(crate) fn flushed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
