//! Outgoing HTTP requests.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use super::Refused;
use super::calls::{call, millis};
use crate::imports::Target;

/// A request, which the host sends where an `http` grant allows its origin and its method.
///
/// ```
/// use std::time::Duration;
///
/// use antiphon_guest::{http, testing};
///
/// testing::on_host_call(|_| {
///     Ok(b"\x83\xa6status\xcc\xc8\xa7headers\x91\x92\xa4etag\xa17\xa4body\xc4\x041.17".to_vec())
/// });
/// let rate = http::Request::get("https://api.rates.example/eur")
///     .header("accept", "text/plain")
///     .timeout(Duration::from_millis(300))
///     .send()?;
/// assert_eq!((rate.status, rate.header("ETag"), &*rate.body), (200, Some("7"), &b"1.17"[..]));
/// # Ok::<(), antiphon_guest::Refused>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    #[serde(skip)]
    grant: &'a str,
    method: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
}

/// The answer of a server, whatever its status is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case with their values, in the server's order. A name may come more than
    /// once.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl<'a> Request<'a> {
    /// Creates a request with this method, such as `PUT`.
    pub const fn new(method: &'a str, url: &'a str) -> Self {
        Self { grant: "", method, url, headers: Vec::new(), body: None, timeout_ms: None }
    }

    /// Creates a request for what is at `url`.
    pub const fn get(url: &'a str) -> Self {
        Self::new("GET", url)
    }

    /// Creates a request that gives a body to `url`.
    pub fn post(url: &'a str, body: &'a [u8]) -> Self {
        Self::new("POST", url).body(body)
    }

    /// Adds a header. The host sets those that frame the message, such as `host` and
    /// `content-length`, and refuses them here.
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(Bytes::new(body));
        self
    }

    /// Sets how long the request may take with its redirects, in whole milliseconds, at least 1.
    /// The grant's own limit holds as well.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(millis(timeout));
        self
    }

    /// Sends the request through the `http` grant with this name, instead of the only one or the
    /// one named `default`.
    pub const fn grant(mut self, name: &'a str) -> Self {
        self.grant = name;
        self
    }

    /// Sends the request and waits for the answer.
    ///
    /// # Errors
    ///
    /// The grant does not allow the origin or the method
    /// ([`Code::NotGranted`](crate::Code::NotGranted)) or the address that the name leads to
    /// ([`Code::ForbiddenAddress`](crate::Code::ForbiddenAddress)), the server is not reached
    /// ([`Code::Unavailable`](crate::Code::Unavailable)), or the time or the size of the answer is
    /// over its limit. A status such as 404 is an answer.
    pub fn send(&self) -> Result<Response, Refused> {
        call(Target { binding: self.grant, namespace: "http", operation: "request" }, self)
    }
}

impl Response {
    /// Returns the first value of a header; upper and lower case are one.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
