//! Integers that a JSON value cannot hold. `serde_json` silently replaces them with the nearest
//! float; this file finds them first.

use std::fmt;

/// The most digits that the error for an integer shows.
const DIGITS: usize = 40;

/// An integer that neither an `i64` nor a `u64` can hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WideNumber {
    /// The offset of its first byte.
    pub(crate) offset: usize,
    digits: String,
}

impl WideNumber {
    fn new(offset: usize, digits: &str) -> Self {
        let mut shown: String = digits.chars().take(DIGITS).collect();
        if shown.len() < digits.len() {
            shown.push_str("..");
        }
        Self { offset, digits: shown }
    }
}

impl fmt::Display for WideNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the integer {} is not from {} to {}", self.digits, i64::MIN, u64::MAX)
    }
}

/// Finds the first integer of a JSON text that neither an `i64` nor a `u64` holds.
pub(crate) fn wide_number(json: &str) -> Option<WideNumber> {
    let (mut in_text, mut escaped, mut begun) = (false, false, None);
    for (offset, c) in json.char_indices().chain([(json.len(), ' ')]) {
        let goes_on = matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
        match begun {
            Some(from) if !goes_on => {
                begun = None;
                let number = json.get(from..offset).unwrap_or_default();
                let whole = !number.contains(['.', 'e', 'E']);
                if whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(WideNumber::new(from, number));
                }
            }
            // A number does not start at an `e`, because the names `true` and `false` contain one.
            None if !in_text && matches!(c, '0'..='9' | '-') => begun = Some(offset),
            _ => {}
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = in_text,
            '"' => in_text = !in_text,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn integers_of_64_bits_are_fine_and_so_is_what_is_no_integer() {
        for fine in [
            "18446744073709551615",
            "-9223372036854775808",
            "[0, -0, 1e300, -1.5E+40, 184467440737095516160.0]",
            r#"{"18446744073709551616": true, "a": "\"18446744073709551616", "b": "\\"}"#,
            r#"["\\\"", false, "99999999999999999999 e9"]"#,
        ] {
            assert!(serde_json::from_str::<Value>(fine).is_ok(), "{fine}");
            assert_eq!(wide_number(fine), None, "{fine}");
        }
    }

    #[test]
    fn the_first_integer_beyond_them_is_found_wherever_it_is() {
        for (wrong, offset, digits) in [
            ("18446744073709551616", 0, "18446744073709551616"),
            (" -9223372036854775809 ", 1, "-9223372036854775809"),
            ("[1,[2,18446744073709551616],99999999999999999999]", 6, "18446744073709551616"),
            (r#"{"a\\":{"é":18446744073709551616}}"#, 13, "18446744073709551616"),
        ] {
            assert!(serde_json::from_str::<Value>(wrong).is_ok(), "{wrong}");
            assert_eq!(wide_number(wrong), Some(WideNumber { offset, digits: digits.to_owned() }), "{wrong}");
        }
        let text = wide_number(&"9".repeat(1_000)).unwrap().to_string();
        let shown = "9".repeat(DIGITS);
        assert_eq!(
            text,
            format!("the integer {shown}.. is not from -9223372036854775808 to 18446744073709551615")
        );
    }
}
