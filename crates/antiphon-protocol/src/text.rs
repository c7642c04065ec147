//! Text that guests wrote: decoded lossily, cut at a character boundary, and made harmless for a
//! terminal.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write;

/// The mark at the end of a text that was cut.
const CUT: &str = " [truncated]";

/// Decodes at most `limit` bytes of a guest's text, and marks a text that was cut.
pub(crate) fn decode(bytes: &[u8], limit: u64) -> Cow<'_, str> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match bytes.get(..limit) {
        Some(head) if head.len() < bytes.len() => {
            let mut text = String::from_utf8_lossy(whole_characters(head)).into_owned();
            text.push_str(CUT);
            Cow::Owned(text)
        }
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Cuts a text of the host at `limit` bytes, and marks it as [`decode`] does.
pub(crate) fn cut(mut text: String, limit: u64) -> String {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if text.len() > limit {
        let boundary = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(boundary);
        text.push_str(CUT);
    }
    text
}

/// Removes the first bytes of a character whose last bytes were cut off.
fn whole_characters(head: &[u8]) -> &[u8] {
    match core::str::from_utf8(head) {
        // `error_len` is `None` exactly if the input ends inside of a character.
        Err(error) if error.error_len().is_none() => head.get(..error.valid_up_to()).unwrap_or(head),
        _ => head,
    }
}

/// Escapes characters that could move a cursor, colour a terminal, fake a line, or reorder text:
/// control characters other than the tab, and Unicode's line separators and bidirectional controls.
pub(crate) fn escape(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Decodes an AssemblyScript string: UTF-16LE, with its length in bytes in the four bytes before
/// it. Returns `None` for a null pointer, and for a string that is not entirely inside of memory.
pub(crate) fn assembly_script(memory: &[u8], ptr: i32, limit: u64) -> Option<String> {
    let start = usize::try_from(ptr.cast_unsigned()).ok().filter(|ptr| *ptr != 0)?;
    let header = memory.get(start.checked_sub(4)?..start)?;
    let length = usize::try_from(u32::from_le_bytes(header.try_into().ok()?)).ok()?;
    let bytes = memory.get(start..start.checked_add(length)?)?;
    let kept = bytes.get(..usize::try_from(limit).unwrap_or(usize::MAX)).unwrap_or(bytes);
    let units = kept.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    let mut text: String =
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if kept.len() < bytes.len() {
        text.push_str(CUT);
    }
    Some(text)
}

/// Returns the line of AssemblyScript's `trace`, as asc's own loader writes it: the text, then the
/// numbers.
pub(crate) fn trace<'n>(message: &str, numbers: impl Iterator<Item = &'n f64>) -> String {
    let mut line = String::from("trace: ");
    line.push_str(message);
    for (at, number) in numbers.enumerate() {
        line.push_str(if at == 0 { " " } else { ", " });
        // The short form of numbers with hundreds of digits is that of `Debug`.
        let plain = *number == 0.0 || (1e-5..1e16).contains(&number.abs());
        let _ = if plain { write!(line, "{number}") } else { write!(line, "{number:?}") };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_marked() {
        assert_eq!(decode("aé".as_bytes(), 2), "a [truncated]");
        assert_eq!(decode("aé".as_bytes(), 3), "aé");
        assert_eq!(cut("aé".to_string(), 2), "a [truncated]");
        assert_eq!(decode(b"a\xffb", 9), "a\u{fffd}b");
        // Only a character that the cut has broken is removed. A byte that never was a character
        // stays marked as such.
        assert_eq!(decode(b"a\xffbcd", 4), "a\u{fffd}bc [truncated]");
    }

    #[test]
    fn escapes_leave_no_control_character() {
        assert_eq!(escape("\u{1b}[31mred\r\n\u{202e}".into()), "\\u{1b}[31mred\\r\\n\\u{202e}");
        assert!(matches!(escape("tab\tand é".into()), Cow::Borrowed(_)));
    }

    #[test]
    fn a_trace_has_its_text_and_then_its_numbers_in_a_short_form() {
        assert_eq!(trace("x", [].iter()), "trace: x");
        assert_eq!(trace("", [1.0, -0.5, 0.0].iter()), "trace:  1, -0.5, 0");
        assert_eq!(
            trace("far", [1e300, -5e-324, f64::NAN, f64::NEG_INFINITY, 1e15].iter()),
            "trace: far 1e300, -5e-324, NaN, -inf, 1000000000000000"
        );
    }

    #[test]
    fn an_assembly_script_string_is_read_only_where_all_of_it_is_there() {
        let mut memory: Vec<u8> = Vec::from(4u32.to_le_bytes());
        memory.extend([b'o', 0, b'k', 0]);
        assert_eq!(assembly_script(&memory, 4, 100).as_deref(), Some("ok"));
        assert_eq!(assembly_script(&memory, 4, 2).as_deref(), Some("o [truncated]"));
        for ptr in [0, 1, 3, 5, 8, 9, -1, i32::MIN] {
            assert_eq!(assembly_script(&memory, ptr, 100), None, "{ptr}");
        }
    }
}
