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
