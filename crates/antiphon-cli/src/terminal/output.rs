//! Writes to standard output.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes bytes to standard output as they are. A reader that closed the pipe has read what it
/// wanted, so that is no failure.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    flushed(stdout.write_all(bytes))
}

/// Flushes standard output, and turns a failed write into a [`Failure`].
pub(crate) fn flushed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
