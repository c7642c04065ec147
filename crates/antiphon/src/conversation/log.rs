//! The lines that guests write for humans.

use std::sync::Arc;

/// One line that a guest wrote. Control characters are escaped and the length is bounded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LogLine<'a> {
    /// The host that runs the guest.
    pub host_id: u64,
    /// The operation that was running; empty during the start.
    pub operation: &'a str,
    /// How the guest wrote it.
    pub stream: LogStream,
    /// The line.
    pub text: &'a str,
}

/// How a guest wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogStream {
    /// waPC's `__console_log`.
    Console,
    /// WASI's standard output.
    Stdout,
    /// WASI's standard error.
    Stderr,
}

impl LogStream {
    /// Returns the stream's name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The function that gets the lines of a guest instead of `tracing`.
pub(super) type LogSink = Arc<dyn Fn(LogLine<'_>) + Send + Sync>;

/// Sends a line to the sink, or to `tracing` if there is none.
pub(super) fn emit(sink: Option<&LogSink>, line: LogLine<'_>) {
    if let Some(sink) = sink {
        return sink(line);
    }
    let LogLine { host_id, operation, stream, text } = line;
    tracing::info!(target: "antiphon::guest", host = host_id, operation, stream = stream.name(), "{text}");
}
