use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

/// Why decoding failed: what was wrong, at which byte, and in which field.
///
/// The size is one pointer. `Display` writes everything in one line.
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

/// The kind of a [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the value does.
    Truncated,
    /// The bytes are not of the format.
    Malformed,
    /// The bytes hold a value of the format, but not of the requested type.
    Mismatch,
    /// Arrays and maps nest deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep,
    /// Bytes follow the value.
    Trailing,
}

impl DecodeError {
    /// Creates an error of the named codec at `offset`, which counts bytes from the beginning of
    /// the input.
    ///
    /// `detail` says what was found and what was expected, in lower case and without a full stop.
    #[must_use]
    pub fn new(codec: &'static str, kind: DecodeErrorKind, offset: usize, detail: impl fmt::Display) -> Self {
        Self(Box::new(Inner { codec, kind, offset, path: String::new(), detail: detail.to_string() }))
    }

    /// Adds the path of the field, such as `person.emails[2]`. An empty path stands for the whole
    /// value.
    #[must_use]
    pub fn in_field(mut self, path: impl fmt::Display) -> Self {
        self.0.path = path.to_string();
        self
    }

    /// Returns the name of the codec.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.0.codec
    }

    /// Returns what was wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// Returns the offset in bytes from the beginning of the input: where the value that does not
    /// fit begins, or where the input stops being of the format.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Returns the field, such as `person.emails[2]`; `None` if the whole value is wrong or the
    /// field is unknown.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        (!self.0.path.is_empty()).then_some(self.0.path.as_str())
    }

    /// Returns what was found, and what was expected.
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

/// Why encoding failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    codec: &'static str,
    detail: String,
}

impl EncodeError {
    /// Creates an error of the named codec. `detail` says what cannot be encoded, in lower case and
    /// without a full stop.
    #[must_use]
    pub fn new(codec: &'static str, detail: impl fmt::Display) -> Self {
        Self { codec, detail: detail.to_string() }
    }

    /// Returns the name of the codec.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.codec
    }

    /// Returns what cannot be encoded.
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
