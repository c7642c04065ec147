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

/// Sends a line to the sink, or to `tracing` if there is none: at WARN what came by standard error,
/// and at INFO everything else.
pub(super) fn emit(sink: Option<&LogSink>, line: LogLine<'_>) {
    if let Some(sink) = sink {
        return sink(line);
    }
    let LogLine { host_id, operation, stream, text } = line;
    match stream {
        // The last words of a guest that panics: a program that logs warnings shows them.
        LogStream::Stderr => {
            tracing::warn!(target: "antiphon::guest", host = host_id, operation, stream = stream.name(), "{text}");
        }
        LogStream::Console | LogStream::Stdout => {
            tracing::info!(target: "antiphon::guest", host = host_id, operation, stream = stream.name(), "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// Keeps the levels of all events.
    #[derive(Clone, Default)]
    struct Levels(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Levels {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "antiphon::guest"
        }

        fn new_span(&self, _span: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _span: &Id, _values: &Record<'_>) {}

        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }

        fn enter(&self, _span: &Id) {}

        fn exit(&self, _span: &Id) {}
    }

    #[test]
    fn standard_error_is_visible_to_a_program_that_logs_warnings_and_other_lines_are_not() {
        let levels = Levels::default();
        tracing::subscriber::with_default(levels.clone(), || {
            for stream in [LogStream::Console, LogStream::Stdout, LogStream::Stderr] {
                emit(None, LogLine { host_id: 1, operation: "op", stream, text: "panicked at" });
            }
        });
        assert_eq!(*levels.0.lock().unwrap(), [Level::INFO, Level::INFO, Level::WARN]);
    }
}
