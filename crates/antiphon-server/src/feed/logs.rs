//! The lines that the guests of a module write.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use antiphon::{LogLine, LogStream};
use antiphon_capabilities::{GuestLine, Level};
use serde::Serialize;

use super::events::now_ms;
use super::{Feed, Reader, Room, Weighed};
use crate::desired::Digest;

/// The most lines that a module may write in a second.
const LINES: u32 = 1_000;
/// The most bytes that a module may write in a second.
const BYTES: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// The log of a module: its last 1,000 lines, 256 KiB at most.
///
/// A module may write 1,000 lines and 1 MiB a second. What is over that is counted and dropped. A
/// line is escaped, and as long as the limit `log_line` allows.
#[derive(Debug)]
pub struct Logs {
    module: Arc<str>,
    feed: Arc<Feed<LogEntry>>,
    rate: Mutex<Rate>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its number: 1 for the first one since the start of the server.
    pub number: u64,
    /// When the guest wrote it, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// `trace`, `debug`, `info`, `warn`, `error`: what the guest says with the grant `logging`;
    /// otherwise `warn` for the standard error, and `info`.
    pub level: &'static str,
    /// How the guest wrote it: `console`, `stdout`, `stderr`, `logging`.
    pub stream: &'static str,
    /// The version that wrote it.
    pub version: Digest,
    /// The operation that was running; empty during a start.
    pub operation: Box<str>,
    /// The trace of the call, in hexadecimal, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
    /// The line, with its control characters escaped.
    pub text: Box<str>,
    /// The fields of a line of `logging`, as a JSON object.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub fields: Box<str>,
    /// Lines that were dropped before this one, because the module wrote too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    lines: u32,
    bytes: usize,
    dropped: u64,
}

impl Rate {
    /// Returns whether one more line may be written, and how many were dropped before it.
    fn admit(&mut self, now: Instant, bytes: usize) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            *self = Self { since: Some(now), dropped: self.dropped, ..Self::default() };
        }
        self.lines = self.lines.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.lines > LINES || self.bytes > BYTES {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut self.dropped))
    }
}

impl Logs {
    pub(crate) fn new(module: Arc<str>) -> Self {
        let feed = Arc::new(Feed::new(Room { entries: 1_000, bytes: 256 << 10 }));
        Self { module, feed, rate: Mutex::default() }
    }

    /// Begins to read after the line with this number; 0 reads all that are kept.
    #[must_use]
    pub fn after(&self, number: u64) -> Reader<LogEntry> {
        self.feed.after(number)
    }

    /// Returns the number of the newest line; 0 if there was none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.feed.last()
    }

    /// Adds a line that a guest wrote to its console or its streams, and hands it to `tracing`
    /// (target `antiphon::guest`).
    pub(crate) fn write(&self, version: Digest, line: LogLine<'_>) {
        let LogLine { operation, stream, text, .. } = line;
        let level = if stream == LogStream::Stderr { "warn" } else { "info" };
        let trace = current_trace().map(|trace| format!("{trace:032x}"));
        let trace = trace.as_deref().unwrap_or_default();
        self.add(version, Line { level, stream: stream.name(), operation, trace, text, fields: "" });
    }

    /// Adds a line that a guest logged with the grant `logging`, which has bounded and escaped it.
    pub(crate) fn write_line(&self, version: Digest, line: &GuestLine<'_>) {
        let level = match line.level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.add(
            version,
            Line {
                level,
                stream: "logging",
                operation: &line.call.operation,
                trace: &line.call.trace,
                text: line.message,
                fields: line.fields,
            },
        );
    }

    fn add(&self, version: Digest, line: Line<'_>) {
        let admitted = {
            let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.admit(Instant::now(), line.text.len().saturating_add(line.fields.len()))
        };
        let Some(dropped) = admitted else { return };
        let Line { level, stream, operation, trace, text, fields } = line;
        let module = &*self.module;
        macro_rules! traced {
            ($level:ident) => {
                tracing::$level!(target: "antiphon::guest", module, %version, operation, trace, stream, fields, "{text}")
            };
        }
        match level {
            "trace" => traced!(trace),
            "debug" => traced!(debug),
            "warn" => traced!(warn),
            "error" => traced!(error),
            _ => traced!(info),
        }
        self.feed.push(|number| LogEntry {
            number,
            at_ms: now_ms(),
            level,
            stream,
            version,
            operation: operation.into(),
            trace_id: (!trace.is_empty()).then(|| trace.into()),
            text: text.into(),
            fields: fields.into(),
            dropped,
        });
    }
}

/// A line before it has a number.
struct Line<'a> {
    level: &'static str,
    stream: &'static str,
    operation: &'a str,
    trace: &'a str,
    text: &'a str,
    fields: &'a str,
}

impl Weighed for LogEntry {
    fn weight(&self) -> usize {
        size_of::<Self>()
            .saturating_add(self.text.len())
            .saturating_add(self.fields.len())
            .saturating_add(self.operation.len())
    }
}

thread_local! {
    /// The trace of the call that this thread is polling; 0 for none. A guest writes its lines
    /// while its call is polled, and a line does not say which call that is.
    static TRACE: Cell<u128> = const { Cell::new(0) };
}

/// Marks the trace of the call that this thread polls, until the mark is dropped.
pub(crate) struct InTrace(u128);

impl InTrace {
    #[inline]
    pub(crate) fn enter(trace: u128) -> Self {
        Self(TRACE.replace(trace))
    }
}

impl Drop for InTrace {
    #[inline]
    fn drop(&mut self) {
        TRACE.set(self.0);
    }
}

fn current_trace() -> Option<u128> {
    Some(TRACE.get()).filter(|trace| *trace != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_writes_too_much_loses_lines_and_the_next_one_says_how_many() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        let admitted = (0..LINES + 7).filter(|_| rate.admit(now, 1).is_some()).count();
        assert_eq!(admitted, LINES as usize);
        assert_eq!(rate.admit(now + SECOND, 1), Some(7));
        assert_eq!(rate.admit(now + SECOND, 1), Some(0));
        assert_eq!(rate.admit(now + SECOND, BYTES), None);
        assert_eq!(rate.admit(now + SECOND * 2, 1), Some(1));
    }

    #[test]
    fn the_trace_of_an_inner_call_ends_with_it() {
        assert_eq!(current_trace(), None);
        let outer = InTrace::enter(7);
        {
            let _inner = InTrace::enter(8);
            assert_eq!(current_trace(), Some(8));
        }
        assert_eq!(current_trace(), Some(7));
        drop(outer);
        assert_eq!(current_trace(), None);
    }
}
