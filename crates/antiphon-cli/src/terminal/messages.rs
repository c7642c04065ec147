//! Everything that goes to standard error. Nothing here fails: where nobody reads, nothing is said.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use antiphon::{LogLine, LogStream};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const GUEST: Style = Style::new().dimmed();

/// Sends the library's warnings (log lines over the budget, a deadline left out) the same way.
pub(crate) fn show_library_warnings() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .finish();
    // Fails only if there is one already, which is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// An error; the text has been made harmless.
pub(super) fn error(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {text}");
}

/// A warning; the text has been made harmless.
pub(crate) fn warning(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{WARNING}warning:{WARNING:#} {text}");
}

/// A line as it is.
pub(super) fn plain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A line of the guest, which the library has escaped. What precedes it keeps guests from speaking in our name.
pub(crate) fn guest_line(line: LogLine<'_>) {
    let who = match line.stream {
        LogStream::Stdout => "guest stdout:",
        LogStream::Stderr => "guest stderr:",
        _ => "guest:",
    };
    let _ = writeln!(anstream::stderr().lock(), "{GUEST}{who}{GUEST:#} {}", line.text);
}
