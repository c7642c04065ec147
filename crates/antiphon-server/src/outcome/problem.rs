//! The document that a client gets instead of an answer: RFC 9457, `application/problem+json`.

use std::fmt::Write as _;

use antiphon::errors::Error;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{Refusal, Verdict};
use crate::call::Failure;
use crate::desired::Digest;

/// The longest `detail`, in bytes. A guest's text may be 64 KiB.
const DETAIL: usize = 1024;

/// The document that a client gets instead of an answer.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// What kind of problem it is: `urn:antiphon:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in words that are always those of the code.
    pub title: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// What happened here. A guest's own text has its control characters escaped.
    pub detail: String,
    /// The stable name.
    pub code: &'static str,
    /// The party at fault.
    pub fault: &'static str,
    /// Where the call was when its deadline passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    /// The limit that was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// The module that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The digest of the version that was picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether the call may go well if it is made once more as it is.
    pub retryable: bool,
    /// The trace of the call, in 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The value of `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u32>,
    /// The value of `Allow`.
    #[serde(skip)]
    pub allow: Option<&'static str>,
}

/// A limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limit {
    /// The name of the limit.
    pub name: &'static str,
    /// What it allows, in its own unit: bytes, microseconds, calls or units of fuel.
    pub allowed: u64,
    /// What was used, as far as it is known.
    pub used: u64,
}

/// What a problem is about.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "transports build it with a struct expression")]
pub struct About<'a> {
    /// The name of the module.
    pub module: Option<&'a str>,
    /// The digest of the version that was picked.
    pub digest: Option<Digest>,
    /// The number of the trace; 0 for none.
    pub trace_id: u128,
}

impl Problem {
    /// Describes a call without an answer.
    #[cold]
    #[must_use]
    pub fn of_failure(failure: &Failure, about: About<'_>) -> Self {
        match failure {
            Failure::Call(error) => Self::of_error(error, about),
            Failure::UnknownModule => Self::of_refusal(&Refusal::UnknownModule, about),
            Failure::UnknownVersion => Self::of_refusal(&Refusal::UnknownVersion, about),
            Failure::NoVersion(reason) => Self::new(Verdict::of_failure(failure), reason, about),
        }
    }

    /// Describes an error of the library.
    #[cold]
    #[must_use]
    pub fn of_error(error: &Error, about: About<'_>) -> Self {
        let limit = error.exceeded().map(|exceeded| Limit {
            name: exceeded.limit,
            allowed: exceeded.allowed,
            used: exceeded.used,
        });
        Self {
            phase: error.phase().map(|phase| phase.name()),
            limit,
            ..Self::new(Verdict::of_error(error), &error.to_string(), about)
        }
    }

    /// Describes what the server itself refuses.
    #[cold]
    #[must_use]
    pub fn of_refusal(refusal: &Refusal, about: About<'_>) -> Self {
        let allow = match refusal {
            Refusal::MethodNotAllowed(allow) => Some(*allow),
            _ => None,
        };
        Self { limit: refusal.limit(), allow, ..Self::new(refusal.verdict(), &refusal.to_string(), about) }
    }

    fn new(verdict: Verdict, detail: &str, about: About<'_>) -> Self {
        Self {
            kind: format!("urn:antiphon:problem:{}", verdict.code),
            title: verdict.title,
            status: verdict.status.as_u16(),
            detail: printable(detail, DETAIL),
            code: verdict.code,
            fault: verdict.fault.name(),
            phase: None,
            limit: None,
            module: about.module.map(|name| printable(name, DETAIL)),
            digest: about.digest.map(|digest| digest.to_string()),
            retryable: verdict.retryable,
            trace_id: (about.trace_id != 0).then(|| format!("{:032x}", about.trace_id)),
            retry_after: verdict.retry_after,
            allow: None,
        }
    }

    /// Returns the document as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Serialising strings and numbers to memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns the answer over HTTP. `body` makes a body of the document.
    pub fn into_response<B>(self, body: impl FnOnce(Vec<u8>) -> B) -> Response<B> {
        let mut response = Response::new(body(self.to_json()));
        *response.status_mut() =
            http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A proxy keeps no failure.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"antiphon\""));
        }
        response
    }
}

/// Returns a text with its control characters escaped, cut at a character so that it has at most
/// `limit` bytes.
fn printable(text: &str, limit: usize) -> String {
    const CUT: &str = " [cut]";
    let mut shown = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        let before = shown.len();
        // Directional overrides change how the text around them reads.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            let _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
        if shown.len() > limit {
            shown.truncate(before);
            while shown.len() > limit - CUT.len() {
                shown.pop();
            }
            shown.push_str(CUT);
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon::errors::{ErrorKind, Phase};
    use serde_json::{Value, json};

    fn document(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).unwrap()
    }

    #[test]
    fn a_problem_says_everything_that_is_known() {
        let about = About { module: Some("pricing"), digest: Some(Digest::of(b"")), trace_id: 0xabc };
        let failure = Failure::Call(Error::deadline(Phase::Queue, "1 s", "2 s"));
        let problem = Problem::of_failure(&failure, about);
        assert_eq!(
            document(&problem),
            json!({
                "type": "urn:antiphon:problem:deadline_exceeded",
                "title": "The deadline passed",
                "status": 503,
                "detail": "no instance was free in time, execution deadline exceeded",
                "code": "deadline_exceeded",
                "fault": "host",
                "phase": "queue",
                "module": "pricing",
                "digest": Digest::of(b"").to_string(),
                "retryable": true,
                "trace_id": "00000000000000000000000000000abc",
            })
        );
        let response = problem.into_response(|body| body);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "1");
    }

    #[test]
    fn a_limit_is_named_with_its_numbers() {
        let problem = Problem::of_error(&Error::out_of_fuel(9), About::default());
        assert_eq!(document(&problem)["limit"], json!({"name": "fuel", "allowed": 9, "used": 9}));
        let refusal = Refusal::TooLarge { allowed: 10, used: 11 };
        let problem = Problem::of_refusal(&refusal, About::default());
        assert_eq!(document(&problem)["limit"], json!({"name": "body", "allowed": 10, "used": 11}));
        assert_eq!(document(&problem).get("trace_id"), None);
    }

    #[test]
    fn a_text_of_a_guest_is_cut_and_escaped() {
        let hostile = format!("\u{1b}[2J\r\n\u{202e}{}", "é".repeat(5000));
        let error = Error::new(ErrorKind::GuestFailed, hostile.clone()).with_guest_error(Some(hostile));
        let detail = Problem::of_error(&error, About::default()).detail;
        assert!(detail.starts_with("Guest call failure: \\u{1b}[2J\\u{d}\\u{a}\\u{202e}é"), "{detail}");
        assert!(detail.ends_with("é [cut]"), "{detail}");
        assert!((DETAIL - 2..=DETAIL).contains(&detail.len()), "{}", detail.len());
    }

    #[test]
    fn a_text_of_exactly_the_limit_is_whole() {
        assert_eq!(printable(&"x".repeat(20), 20), "x".repeat(20));
        assert_eq!(printable(&"x".repeat(21), 20), format!("{} [cut]", "x".repeat(14)));
    }

    #[test]
    fn a_refusal_has_the_headers_that_its_status_asks_for() {
        let response = |refusal| Problem::of_refusal(&refusal, About::default()).into_response(|body| body);
        assert_eq!(
            response(Refusal::Unauthorized).headers()["www-authenticate"],
            "Bearer realm=\"antiphon\""
        );
        assert_eq!(response(Refusal::MethodNotAllowed("POST")).headers()["allow"], "POST");
        let internal = response(Refusal::Internal("a path of this machine".into()));
        assert!(!String::from_utf8(internal.into_body()).unwrap().contains("a path"));
    }
}
