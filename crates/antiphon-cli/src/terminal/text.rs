//! Makes text of guests and modules harmless for a terminal.

use std::fmt::Write;

/// Escapes characters that could move the cursor, colour the terminal, fake a line, or reorder
/// text.
pub(crate) fn escape_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Escapes text of several lines. Every line after the first gets `indent`, so that none can pass
/// for a line of this program.
pub(crate) fn escape_block(text: &str, indent: &str) -> String {
    let lines: Vec<_> =
        text.trim_end().split('\n').map(|part| escape_line(part.trim_end_matches('\r'))).collect();
    lines.join(&format!("\n{indent}"))
}

/// Escapes an answer of any bytes. Lines stay lines; bytes that are not UTF-8 become `\xff`.
pub(crate) fn escape_answer(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for line in chunk.valid().split_inclusive('\n') {
            let text = line.strip_suffix('\n');
            out.push_str(&escape_line(text.unwrap_or(line)));
            if text.is_some() {
                out.push('\n');
            }
        }
        for byte in chunk.invalid() {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Escapes JSON text without changing its meaning. JSON itself escapes only the control characters
/// of ASCII.
pub(crate) fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c > '~' && is_dangerous(c) {
            // Writing to a `String` cannot fail. All dangerous characters are below U+10000, so
            // four digits are enough.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns whether a character may deceive a terminal. The library escapes the same set in logs:
/// control characters other than the tab, Unicode's line separators, and bidirectional controls.
fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_without_controls() {
        assert_eq!(
            escape_line("a\u{1b}[31m\r\nb\u{9b}\u{202e}é\t"),
            "a\\u{1b}[31m\\r\\nb\\u{9b}\\u{202e}é\t"
        );
    }

    #[test]
    fn a_block_is_indented_so_that_no_line_passes_for_ours() {
        assert_eq!(escape_block("one\r\nerror: two\n", "    "), "one\n    error: two");
    }

    #[test]
    fn an_answer_keeps_its_lines_and_nothing_else_that_moves_the_cursor() {
        assert_eq!(escape_answer(b"a\n\x1b[2J\xff\xc3\xa9\t\r\n\n"), "a\n\\u{1b}[2J\\xffé\t\\r\n\n");
        assert_eq!(escape_answer(b""), "");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let hostile = "\u{1b}\u{7f}\u{9b}\u{2028}\u{202e}é\n\"";
        let escaped = escape_json(&serde_json::to_string(hostile).unwrap());
        assert!(!escaped.chars().any(is_dangerous), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), hostile);
    }
}
