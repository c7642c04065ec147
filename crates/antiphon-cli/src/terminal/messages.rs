//! Everything that goes to standard error. Writing never fails: a message that nothing reads is
//! dropped.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use antiphon::{LogLine, LogStream};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const GUEST: Style = Style::new().dimmed();

/// Sends the library's warnings to standard error too, such as log lines over the budget.
pub(crate) fn show_library_warnings() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .finish();
    // Fails only if a subscriber is set already, which serves as well.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes an error. `text` must already be escaped.
pub(super) fn error(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {text}");
}

/// Writes a warning. `text` must already be escaped.
pub(crate) fn warning(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{WARNING}warning:{WARNING:#} {text}");
}

/// Writes a line as it is.
pub(super) fn plain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes a log line of the guest, which the library has escaped. The prefix keeps a guest from
/// imitating messages of this program.
pub(crate) fn guest_line(line: LogLine<'_>) {
    let who = match line.stream {
        LogStream::Stdout => "guest stdout:",
        LogStream::Stderr => "guest stderr:",
        _ => "guest:",
    };
    let _ = writeln!(anstream::stderr().lock(), "{GUEST}{who}{GUEST:#} {}", line.text);
}
