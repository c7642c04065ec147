//! Why a host call of a capability failed.

use std::fmt;

use antiphon::{Error, ErrorKind, HostCallError};

/// The code of a [`Fault`]. Codes are stable, and guests match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `not_granted`: the module has no grant for what it asked, or the grant does not reach so
    /// far.
    NotGranted,
    /// `budget`: the grant allows no more calls or bytes for now.
    Budget,
    /// `invalid_request`: the guest asked in a form that the capability does not have.
    InvalidRequest,
    /// `not_found`: what was asked for by name is not there.
    NotFound,
    /// `conflict`: the value changed since the guest read it.
    Conflict,
    /// `too_large`: a request or an answer is over its limit.
    TooLarge,
    /// `unavailable`: what stands behind the capability cannot be reached, or failed.
    Unavailable,
    /// `timeout`: the time of the request ran out.
    Timeout,
    /// `forbidden_address`: the name leads only to addresses that the grant does not allow.
    ForbiddenAddress,
    /// `too_many_redirects`: the server answered with one redirect after the other.
    TooManyRedirects,
    /// The code of the [`ErrorKind`]: the call of another module ended so.
    Call(ErrorKind),
}

impl Code {
    /// Returns the code as guests read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotGranted => "not_granted",
            Self::Budget => "budget",
            Self::InvalidRequest => "invalid_request",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::ForbiddenAddress => "forbidden_address",
            Self::TooManyRedirects => "too_many_redirects",
            Self::Call(kind) => kind.code(),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a host call of a capability failed: a code and a sentence.
///
/// The guest reads `CODE: sentence`. The sentence must hold no secrets and nothing of the machine
/// that is not the guest's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    code: Code,
    text: String,
}

impl Fault {
    /// Creates a fault.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, text)
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for HostCallError {
    fn from(fault: Fault) -> Self {
        Self::new(fault.to_string())
    }
}

/// Lets a [`CallModule`](crate::CallModule) pass the error of a call on.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(Code::Call(error.kind()), error.to_string())
    }
}
