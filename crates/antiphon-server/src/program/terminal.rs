//! What the program writes.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use anstyle::{AnsiColor, Style};

use super::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes bytes to standard output as they are. A reader that closed the pipe has read what it
/// wanted, so that is no failure.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    flushed(stdout.write_all(bytes))
}

/// Flushes standard output, and turns a failed write into a failure.
pub(crate) fn flushed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::system("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Writes an error for humans to standard error. A message that nothing reads is dropped.
pub(crate) fn error(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {text}");
}

/// Writes a warning to standard error.
pub(crate) fn warning(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{WARNING}warning:{WARNING:#} {text}");
}

/// Writes a line to standard error.
pub(crate) fn plain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Escapes characters that could move the cursor, colour the terminal, fake a line, or reorder
/// text.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Escapes JSON text without changing its meaning.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c > '~' && is_dangerous(c) {
            // Writing to a `String` cannot fail. All dangerous characters are below U+10000.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns whether a character may deceive a terminal: control characters other than the tab,
/// Unicode's line separators, and bidirectional controls.
fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Lays out rows of cells as columns, two blanks apart.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_moves_no_cursor() {
        assert_eq!(escaped("a\u{1b}[31m\n\u{202e}é\t"), "a\\u{1b}[31m\\n\\u{202e}é\t");
        let hostile = "\u{1b}\u{9b}\u{2028}é\"";
        let json = escaped_json(&serde_json::to_string(hostile).unwrap());
        assert!(!json.chars().any(is_dangerous), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        assert_eq!(columns(&[row(&["NAME", "X"]), row(&["a", "long", "y"])]), "NAME  X\na     long  y\n");
    }
}
