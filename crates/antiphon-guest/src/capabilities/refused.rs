//! Why the host refused.

use alloc::format;
use alloc::string::String;
use core::fmt;

/// Why a capability did not do what the guest asked: a stable code, and a sentence for people.
///
/// ```
/// use antiphon_guest::{Code, config, testing};
///
/// testing::on_host_call(|_| Err("not_granted: this module has no grant for config".to_owned()));
/// let refused = config::get("currency").unwrap_err();
/// assert_eq!(refused.code(), Code::NotGranted);
/// assert_eq!(refused.sentence(), "this module has no grant for config");
/// assert_eq!(refused.to_string(), "not_granted: this module has no grant for config");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    code: Code,
    /// The whole text.
    text: String,
    /// Where the sentence begins in it.
    sentence: usize,
}

/// Defines the codes that have a text of their own, and reads them.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The code of a [`Refused`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
            /// Another one, which [`Refused::code_text`] has: that of a host newer than this crate,
            /// or of a called module that ended in a way that is not the caller's to mend.
            Other,
        }

        impl Code {
            fn read(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

codes! {
    /// `not_granted`: the module has no grant for what it asked, or the grant does not reach so
    /// far. The sentence says what an operator has to add.
    NotGranted = "not_granted",
    /// `budget`: the grant allows no more calls or bytes for now.
    Budget = "budget",
    /// `invalid_request`: the guest asked in a form that the capability does not have.
    InvalidRequest = "invalid_request",
    /// `not_found`: what was asked for by name is not there.
    NotFound = "not_found",
    /// `conflict`: the value changed since the guest read it.
    Conflict = "conflict",
    /// `too_large`: a request or an answer is over its limit.
    TooLarge = "too_large",
    /// `unavailable`: what stands behind the capability cannot be reached, or failed.
    Unavailable = "unavailable",
    /// `timeout`: the time of the request ran out.
    Timeout = "timeout",
    /// `forbidden_address`: the name leads only to addresses that the grant does not allow.
    ForbiddenAddress = "forbidden_address",
    /// `too_many_redirects`: the server answered with one redirect after the other.
    TooManyRedirects = "too_many_redirects",
    /// `guest_failed`: the called module answered with an error of its own.
    GuestFailed = "guest_failed",
    /// `deadline_exceeded`: the time of the whole call ran out in the called module.
    DeadlineExceeded = "deadline_exceeded",
    /// `overloaded`: the called module takes no more calls for now.
    Overloaded = "overloaded",
    /// `reentrancy`: modules call each other in a circle, or too many of them do.
    Reentrancy = "reentrancy",
    /// `invalid_answer`: the host's answer is not the map that was expected.
    InvalidAnswer = "invalid_answer",
}

impl Refused {
    /// Reads the host's text, `CODE: sentence`. A text without a code is a sentence.
    pub(super) fn by_host(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let code = text.split_once(": ").map(|(code, _)| code);
        let is_code = |code: &&str| {
            !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        match code.filter(is_code) {
            Some(code) => Self { code: Code::read(code), sentence: code.len() + 2, text },
            None => Self { code: Code::Other, sentence: 0, text },
        }
    }

    /// The request could not be encoded.
    #[cold]
    pub(super) fn not_asked(error: &dyn fmt::Display) -> Self {
        Self::by_host(format!("invalid_request: {error}").as_bytes())
    }

    /// The answer could not be decoded.
    #[cold]
    pub(super) fn not_understood(error: &dyn fmt::Display) -> Self {
        Self::by_host(format!("invalid_answer: {error}").as_bytes())
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the code as the host wrote it; empty if the host wrote none, as one does that has no
    /// capabilities.
    #[must_use]
    pub fn code_text(&self) -> &str {
        let end = self.sentence.saturating_sub(2);
        self.text.get(..end).unwrap_or_default()
    }

    /// Returns what happened, in words.
    #[must_use]
    pub fn sentence(&self) -> &str {
        self.text.get(self.sentence..).unwrap_or_default()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Shows the text, because a guest that unwraps a refusal panics with this output.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({})", self.text)
    }
}

impl core::error::Error for Refused {}
