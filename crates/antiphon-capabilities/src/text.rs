//! Text of guests, made harmless for a log and for an error.

use std::fmt::Write;

/// Returns whether a character may deceive a terminal. The core escapes these in lines of guests
/// too: control characters other than the tab, Unicode's line separators, and bidirectional
/// controls.
fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes what may deceive a terminal, and cuts the text at a character's boundary where it is
/// longer than `most` bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let before = out.len();
        if is_dangerous(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        if out.len() > most {
            out.truncate(before);
            out.push_str("... (cut)");
            break;
        }
    }
    out
}

/// Escapes in encoded JSON what may deceive a terminal. It stays the same JSON.
pub(crate) fn json(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    for c in encoded.chars() {
        if is_dangerous(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns a name from a guest in quotes, escaped, and cut where it is long.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 64;
    let mut chars = name.chars();
    let shown: String = chars.by_ref().take(SHOWN).collect();
    let more = if chars.next().is_some() { "..." } else { "" };
    format!("{shown:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_without_controls_and_within_its_length() {
        assert_eq!(line("a\u{1b}[31m\r\nb\u{9b}\u{202e}é\t", 100), "a\\u{1b}[31m\\r\\nb\\u{9b}\\u{202e}é\t");
        assert_eq!(line("ééé", 6), "ééé");
        assert_eq!(line("ééé", 5), "éé... (cut)");
        assert_eq!(line("a\n", 2), "a... (cut)");
    }

    #[test]
    fn escaped_json_reads_as_before() {
        let text = "a\u{1b}\u{9b}\u{202e}\u{2028}é\n\"\t";
        let encoded = json(&serde_json::to_string(text).unwrap());
        assert!(!encoded.contains(is_dangerous));
        assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text);
    }

    #[test]
    fn names_are_quoted_and_cut() {
        assert_eq!(quoted("a\"\u{1b}"), r#""a\"\u{1b}""#);
        assert_eq!(quoted(&"x".repeat(65)), format!("\"{}\"...", "x".repeat(64)));
    }
}
