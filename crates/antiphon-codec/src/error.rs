use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

/// Why bytes were not decoded, where they went wrong, and in which field.
///
/// One pointer in size. `Display` says all of it in one line.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    codec: &'static str,
    kind: DecodeErrorKind,
    offset: usize,
    path: String,
    detail: String,
}

/// What was wrong with bytes that were not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// They end before the value does.
    Truncated,
    /// They are not of the format.
    Malformed,
    /// They are a value of the format, but not one of the type that was asked for.
    Mismatch,
    /// Their arrays and maps nest deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep,
    /// They go on after the value.
    Trailing,
}

impl DecodeError {
    /// An error of the codec of that name, at a place in its input, in bytes from the beginning.
    ///
    /// `detail` says what was found and what was expected, in lower case and without a full stop.
    #[must_use]
    pub fn new(codec: &'static str, kind: DecodeErrorKind, offset: usize, detail: impl fmt::Display) -> Self {
        Self(Box::new(Inner { codec, kind, offset, path: String::new(), detail: detail.to_string() }))
    }

    /// The same error, in the field at `path`: `person.emails[2]`. An empty path is the whole value.
    #[must_use]
    pub fn in_field(mut self, path: impl fmt::Display) -> Self {
        self.0.path = path.to_string();
        self
    }

    /// The name of the codec.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.0.codec
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// Where it was, in bytes from the beginning of the input: where the value that did not fit begins, or where the
    /// input stopped to be of the format.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The field that it was in, such as `person.emails[2]`; `None` where it was the value as a whole, or is not known.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        (!self.0.path.is_empty()).then_some(self.0.path.as_str())
    }

    /// What was found, and what was expected.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not decoded: at byte {}", self.0.codec, self.0.offset)?;
        if let Some(field) = self.field() {
            write!(f, ", in field {field}")?;
        }
        write!(f, ": {}", self.0.detail)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("codec", &self.0.codec)
            .field("kind", &self.0.kind)
            .field("offset", &self.0.offset)
            .field("field", &self.field())
            .field("detail", &self.0.detail)
            .finish()
    }
}

impl core::error::Error for DecodeError {}

/// Why a value was not encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    codec: &'static str,
    detail: String,
}

impl EncodeError {
    /// An error of the codec of that name. `detail` says what could not be written, in lower case and without a full stop.
    #[must_use]
    pub fn new(codec: &'static str, detail: impl fmt::Display) -> Self {
        Self { codec, detail: detail.to_string() }
    }

    /// The name of the codec.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.codec
    }

    /// What could not be written.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not encoded: {}", self.codec, self.detail)
    }
}

impl core::error::Error for EncodeError {}

/// `text` up to a length in bytes that an error may have, cut at a character's boundary.
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
