use alloc::borrow::ToOwned;
use alloc::string::String;

/// Cuts a text to the length that errors are bounded by, at a character's boundary.
pub(crate) fn bounded(text: &str) -> String {
    const MOST: usize = 512;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let mut end = MOST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut cut = text.get(..end).unwrap_or_default().to_owned();
    cut.push_str("...");
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_long_text_is_cut_in_front_of_the_character_that_does_not_fit() {
        let fits = "x".repeat(512);
        assert_eq!(bounded(&fits), fits);
        assert_eq!(bounded(&format!("{fits}y")), format!("{fits}..."));
        // The second byte of an `ü` would be the 513th.
        let text = format!("{}üx", "x".repeat(511));
        assert_eq!(bounded(&text), format!("{}...", "x".repeat(511)));
    }
}
