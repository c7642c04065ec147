//! Everything that goes to standard error. Writing never fails: a message that nothing reads is
//! dropped. Each line is for humans, or an object in JSON.

use std::io::Write;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use antiphon::{LogLine, LogStream};
use serde_json::{Value, json};

use super::text::escape_json;
use crate::args::ErrorFormat;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const DIMMED: Style = Style::new().dimmed();

/// The format of all lines, once the arguments are parsed.
static FORMAT: OnceLock<ErrorFormat> = OnceLock::new();

/// Sets the format of all lines from here on. The first format counts.
pub(crate) fn set_format(format: ErrorFormat) {
    // Set twice only by tests of this program.
    let _ = FORMAT.set(format);
}

/// Returns the format of all lines.
pub(crate) fn format() -> ErrorFormat {
    FORMAT.get().copied().unwrap_or(ErrorFormat::Text)
}

/// Writes an error for humans. `text` must already be escaped.
pub(super) fn error(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {text}");
}

/// Writes a warning. `text` must already be escaped.
pub(crate) fn warning(text: &str) {
    message("warning", text);
}

/// Writes a note. `text` must already be escaped.
pub(crate) fn note(text: &str) {
    message("note", text);
}

/// Writes a message of a level: `error`, `warning` or `note`. `text` must already be escaped.
pub(super) fn message(level: &str, text: &str) {
    match format() {
        ErrorFormat::Json => object(&json!({ "level": level, "message": text })),
        ErrorFormat::Text => {
            let style = match level {
                "error" => ERROR,
                "warning" => WARNING,
                _ => DIMMED,
            };
            let _ = writeln!(anstream::stderr().lock(), "{style}{level}:{style:#} {text}");
        }
    }
}

/// Writes a JSON object as one line.
fn object(object: &Value) {
    plain(&escape_json(&object.to_string()));
}

/// Writes a line as it is.
pub(super) fn plain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes a log line of the guest, which the library has escaped. The prefix keeps a guest from
/// imitating messages of this program.
pub(crate) fn guest_line(line: LogLine<'_>) {
    let (who, stream) = match line.stream {
        LogStream::Stdout => ("guest stdout:", "stdout"),
        LogStream::Stderr => ("guest stderr:", "stderr"),
        _ => ("guest:", "console"),
    };
    match format() {
        ErrorFormat::Json => {
            object(&json!({ "level": "guest", "stream": stream, "message": line.text }));
        }
        ErrorFormat::Text => {
            let _ = writeln!(anstream::stderr().lock(), "{DIMMED}{who}{DIMMED:#} {}", line.text);
        }
    }
}
