//! What the server itself refuses, before or instead of a call.

use std::borrow::Cow;
use std::fmt;

use antiphon::errors::Fault;
use http::StatusCode;

use super::{Limit, Verdict};

/// What the server itself refuses, before or instead of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The path is malformed. The text says where.
    BadPath(&'static str),
    /// The query is malformed. The text says how.
    BadQuery(Cow<'static, str>),
    /// A name cannot be that of a module.
    BadName(String),
    /// A header is malformed: its name, and what is wrong.
    BadHeader(&'static str, Cow<'static, str>),
    /// The body cannot be read as what it should be.
    BadBody(Cow<'static, str>),
    /// The client went away, or broke the framing, in the middle of the body.
    BodyCut,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is over the server's limit, in bytes.
    TooLarge {
        /// The limit.
        allowed: u64,
        /// What the client announced, or has sent so far.
        used: u64,
    },
    /// There is no token, or an unknown one.
    Unauthorized,
    /// The token may not do this. The text says what it lacks.
    Forbidden(Cow<'static, str>),
    /// A browser sent the request for a page of another origin.
    CrossOrigin,
    /// No route has this path.
    NotFound,
    /// The path takes other methods, which are listed as in `Allow`.
    MethodNotAllowed(&'static str),
    /// No module has this name.
    UnknownModule,
    /// The module has no version of this digest.
    UnknownVersion,
    /// A write names no revision.
    RevisionMissing,
    /// A write names a revision that is not the current one.
    RevisionWrong {
        /// The revision that holds; 0 if there is no such module.
        revision: u64,
    },
    /// The change does not fit the state that the module is in.
    Conflict(Cow<'static, str>),
    /// The server is stopping.
    Stopping,
    /// The server failed. The text is for its log.
    Internal(Cow<'static, str>),
}

impl Refusal {
    /// Returns what the refusal means to a caller.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        use StatusCode as S;
        let (code, title, status) = match self {
            Self::BadPath(_) => ("bad_path", "The path is malformed", S::BAD_REQUEST),
            Self::BadQuery(_) => ("bad_query", "The query is malformed", S::BAD_REQUEST),
            Self::BadName(_) => ("bad_name", "No module can have this name", S::BAD_REQUEST),
            Self::BadHeader(..) => ("bad_header", "A header is malformed", S::BAD_REQUEST),
            Self::BadBody(_) => ("bad_body", "The body is malformed", S::BAD_REQUEST),
            Self::BodyCut => ("body_cut", "The body ended too early", S::BAD_REQUEST),
            Self::BodyTimeout => ("body_timeout", "The body took too long", S::REQUEST_TIMEOUT),
            Self::TooLarge { .. } => ("too_large", "The request is over its limit", S::PAYLOAD_TOO_LARGE),
            Self::Unauthorized => ("unauthorized", "No valid token", S::UNAUTHORIZED),
            Self::Forbidden(_) => ("forbidden", "The token may not do this", S::FORBIDDEN),
            Self::CrossOrigin => {
                ("cross_origin", "The request comes from a page of another origin", S::FORBIDDEN)
            }
            Self::NotFound => ("not_found", "Nothing has this path", S::NOT_FOUND),
            Self::MethodNotAllowed(_) => {
                ("method_not_allowed", "The path takes other methods", S::METHOD_NOT_ALLOWED)
            }
            Self::UnknownModule => ("unknown_module", "No module has this name", S::NOT_FOUND),
            Self::UnknownVersion => ("unknown_version", "The module has no such version", S::NOT_FOUND),
            Self::RevisionMissing => ("revision_missing", "A write needs If-Match", S::PRECONDITION_REQUIRED),
            Self::RevisionWrong { .. } => {
                ("revision_wrong", "The module has changed", S::PRECONDITION_FAILED)
            }
            Self::Conflict(_) => ("conflict", "The module is not in that state", S::CONFLICT),
            Self::Stopping => ("stopping", "The server is stopping", S::SERVICE_UNAVAILABLE),
            Self::Internal(_) => ("internal", "The server failed", S::INTERNAL_SERVER_ERROR),
        };
        let host = matches!(self, Self::Stopping | Self::Internal(_));
        Verdict {
            code,
            title,
            status,
            retryable: matches!(self, Self::Stopping | Self::BodyTimeout),
            retry_after: if matches!(self, Self::Stopping) { Some(1) } else { None },
            fault: if host { Fault::Host } else { Fault::Caller },
        }
    }

    /// Returns the limit that was exceeded.
    pub(super) const fn limit(&self) -> Option<Limit> {
        match *self {
            Self::TooLarge { allowed, used } => Some(Limit { name: "body", allowed, used }),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPath(text) => f.write_str(text),
            Self::BadQuery(text) => write!(f, "the query is malformed: {text}"),
            Self::BadName(text) => f.write_str(text),
            Self::BadHeader(name, text) => write!(f, "the header {name} {text}"),
            Self::BadBody(text) | Self::Forbidden(text) | Self::Conflict(text) => f.write_str(text),
            Self::BodyCut => f.write_str("the connection ended, or broke the framing, within the body"),
            Self::BodyTimeout => f.write_str("the body did not arrive within http.idle_timeout"),
            Self::TooLarge { allowed, .. } => {
                write!(f, "the body is over {allowed} bytes (raise it with http.body)")
            }
            Self::Unauthorized => {
                f.write_str("send a token of [auth] as `Authorization: Bearer ...` (never in the URL)")
            }
            Self::CrossOrigin => f.write_str(
                "the header Origin or Host is not of this server: requests of foreign pages are refused",
            ),
            Self::NotFound => f.write_str(
                "a call is POST /v1/modules/MODULE/operations/OPERATION, with a slash in a name as %2F",
            ),
            Self::MethodNotAllowed(allow) => write!(f, "the path takes {allow}"),
            Self::UnknownModule => f.write_str("no module of this server has the name"),
            Self::UnknownVersion => f.write_str("no version of the module has the digest"),
            Self::RevisionMissing => {
                f.write_str("send the ETag of the module as If-Match, or `If-None-Match: *` to create it")
            }
            Self::RevisionWrong { revision: 0 } => {
                f.write_str("no module has the name: to create it, send `If-None-Match: *`")
            }
            Self::RevisionWrong { revision } => {
                write!(
                    f,
                    "the module has revision {revision} now: read it again, and send its ETag as If-Match"
                )
            }
            Self::Stopping => f.write_str("the server is stopping: call another one"),
            // The cause stands in the server's log.
            Self::Internal(_) => f.write_str("the cause stands in the log of the server"),
        }
    }
}
