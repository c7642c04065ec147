//! Writes to standard output.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::messages;
use super::text::escape_answer;
use crate::failure::Failure;

/// Writes bytes to standard output as they are. A reader that closed the pipe has read what it
/// wanted, so that is no failure.
// A standard output that was closed (`>&-`) cannot be told from one that is thrown away: before
// `main`, Rust opens /dev/null for reading and writing in its place. Python's `subprocess.DEVNULL`
// and Node's `stdio: 'ignore'` open the same file in the same way, and their callers expect
// success. To look earlier would take unsafe code.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    flushed(stdout.write_all(bytes))
}

/// Writes bytes of a guest to standard output: as they are, or escaped on a terminal.
pub(crate) fn write_answer(bytes: &[u8]) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return write(bytes);
    }
    let shown = escape_answer(bytes);
    let written = write(shown.as_bytes());
    if shown.as_bytes() != bytes {
        messages::warning(
            "the answer has control characters, which are escaped here; --raw writes them as they are",
        );
    }
    written
}

/// Flushes standard output, and turns a failed write into a [`Failure`].
pub(crate) fn flushed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
