//! One request with its redirects, from the first connection to the last byte of the body.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderMap, LOCATION};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, Client};
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};

use super::connect::Connect;
use super::headers;
use super::origin::{Host, Target};
use crate::text::{line, quoted};
use crate::{Code, Fault, Origin};

/// The longest URL of a guest or a redirect, in bytes.
const LONGEST_URL: usize = 8 << 10;

/// What one grant allows, and the connections that it has.
pub(super) struct Granted {
    pub(super) client: Client<HttpsConnector<Connect>, Full<Bytes>>,
    pub(super) allow: Vec<Origin>,
    pub(super) methods: Vec<Method>,
    /// The most bytes of a response's body.
    pub(super) response: usize,
    pub(super) redirects: u32,
}

/// A request that is ready to be sent.
pub(super) struct Ready {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A URL, and the origin that it leads to.
pub(super) struct Url {
    uri: Uri,
    target: Target,
}

impl Url {
    /// Reads a URL. It is parsed here once: what is checked is what is connected to and sent.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LONGEST_URL {
            let text = format!("the URL has {} bytes; at most {LONGEST_URL} are allowed", text.len());
            return Err(Fault::new(Code::TooLarge, text));
        }
        let wrong = |what: &str| Fault::invalid(format!("the URL {} {what}", quoted(text)));
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("begins neither with https:// nor with http://")),
        };
        let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong("has a user in it; send an Authorization header instead"));
        }
        let host = uri.host().unwrap_or_default();
        let port = match authority.strip_prefix(host) {
            Some("") => Target::port_of(secure),
            Some(port) => match port.strip_prefix(':').map(str::parse) {
                Some(Ok(port)) if port != 0 => port,
                _ => return Err(wrong("has no valid port")),
            },
            None => return Err(wrong("has no valid host")),
        };
        let host = Host::parse(host)
            .ok_or_else(|| wrong("has no valid host; a name is in ASCII, and an IPv6 address in brackets"))?;
        Self::of(&uri, Target { secure, host, port }).ok_or_else(|| wrong("cannot be read"))
    }

    /// Writes the URL again, with the origin as it was understood and always with a port.
    fn of(uri: &Uri, target: Target) -> Option<Self> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let uri = format!("{target}{slash}{path}").parse().ok()?;
        Some(Self { uri, target })
    }

    /// Returns where a redirect leads.
    fn join(&self, location: &str) -> Result<Self, Fault> {
        let wrong = || {
            let text = format!("{} redirects to {}, which is no URL", self.target, quoted(location));
            Fault::new(Code::Unavailable, text)
        };
        // A fragment is for the one who reads the page.
        let location = location.split('#').next().unwrap_or_default();
        if let Ok(absolute) = Self::parse(location) {
            return Ok(absolute);
        }
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let base = format!("{}{}", self.target, encoded(path));
        let base = UriAbsoluteStr::new(&base).map_err(|_| wrong())?;
        let joined = UriReferenceStr::new(location).map_err(|_| wrong())?.resolve_against(base);
        joined.ensure_rfc3986_normalizable().map_err(|_| wrong())?;
        let joined = joined.to_string();
        Self::parse(&joined).map_err(|_| wrong())
    }
}

/// Encodes what a path may have on the web, but not in a URI of RFC 3986, such as brackets.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// What comes back: the status, the headers and the body.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Granted {
    /// Sends a request, follows its redirects, and reads the body.
    pub(super) async fn exchange(self: Arc<Self>, mut ready: Ready) -> Result<Answer, Fault> {
        let mut followed = 0;
        loop {
            self.check(&ready)?;
            let response = self.send(&ready).await?;
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let (status, Some(location)) = (response.status(), location) else {
                return self.read(response).await;
            };
            if self.redirects == 0 || !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return self.read(response).await;
            }
            if followed == self.redirects {
                let text = format!("more than {followed} redirects, the last one from {}", ready.url.target);
                return Err(Fault::new(Code::TooManyRedirects, text));
            }
            followed += 1;
            let next = ready.url.join(location)?;
            ready.redirect(next, status);
        }
    }

    /// Checks a request, or what a redirect made of it, against the grant.
    fn check(&self, ready: &Ready) -> Result<(), Fault> {
        let target = &ready.url.target;
        if !self.allow.iter().any(|origin| origin.allows(target)) {
            let text =
                format!("the http grant of this module does not allow {target}; add it to its key allow");
            return Err(Fault::new(Code::NotGranted, text));
        }
        if !self.methods.contains(&ready.method) {
            let text = format!(
                "the http grant of this module does not allow the method {}; add it to its key methods",
                ready.method
            );
            return Err(Fault::new(Code::NotGranted, text));
        }
        Ok(())
    }

    async fn send(&self, ready: &Ready) -> Result<Response<Incoming>, Fault> {
        let mut request = Request::new(Full::new(ready.body.clone()));
        *request.method_mut() = ready.method.clone();
        *request.uri_mut() = ready.url.uri.clone();
        *request.headers_mut() = ready.headers.clone();
        let response =
            self.client.request(request).await.map_err(|error| failed(&ready.url.target, &error))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let text = format!("{} switches to another protocol, which nothing asked for", ready.url.target);
            return Err(Fault::new(Code::Unavailable, text));
        }
        Ok(response)
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, Fault> {
        let too_large = || {
            let text = format!("the response's body has more than {} bytes", self.response);
            Fault::new(Code::TooLarge, text)
        };
        let (parts, body) = response.into_parts();
        if body.size_hint().lower() > u64::try_from(self.response).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        let body = Limited::new(body, self.response).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_large();
            }
            let text = format!("the response broke off: {}", line(&error.to_string(), 256));
            Fault::new(Code::Unavailable, text)
        })?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }
}

impl Ready {
    /// Makes this the request that follows a redirect, as browsers do.
    fn redirect(&mut self, next: Url, status: StatusCode) {
        let rewritten = match status.as_u16() {
            303 => self.method != Method::GET && self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if rewritten {
            self.method = Method::GET;
            self.body = Bytes::new();
            headers::drop_body(&mut self.headers);
        }
        if next.target != self.url.target {
            headers::drop_credentials(&mut self.headers);
        }
        self.url = next;
    }
}

/// Says why no response came.
fn failed(target: &Target, error: &legacy::Error) -> Fault {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        // The guard or the connection said it already.
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return fault.clone();
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            return Fault::new(
                Code::TooLarge,
                format!("the headers of the response of {target} are too large"),
            );
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    let what = if error.is_connect() { "cannot connect to" } else { "no response from" };
    let why = line(&cause.to_string(), 256);
    Fault::new(Code::Unavailable, format!("{what} {target}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_url_is_read_once_and_written_as_it_was_understood() {
        for (text, written) in [
            ("https://API.example.com", "https://api.example.com:443/"),
            ("http://a.b:80/x?y=%20", "http://a.b:80/x?y=%20"),
            ("http://a.b?q", "http://a.b:80/?q"),
            ("https://[0:0::1]/", "https://[::1]:443/"),
            ("http://a.b/x#part", "http://a.b:80/x"),
        ] {
            assert_eq!(url(text).uri.to_string(), written, "{text}");
        }
        for (text, expected) in [
            ("", "cannot be read"),
            ("/path", "begins neither"),
            ("ftp://a.b/", "begins neither"),
            ("file:///etc/passwd", "cannot be read"),
            ("data:text/plain,x", ""),
            ("https://user:word@a.b/", "has a user in it"),
            ("https://a.b@10.0.0.1/", "has a user in it"),
            ("https://a.b:0/", "no valid port"),
            ("https://a.b:/", "no valid port"),
            ("https://a.b:65536/", "port"),
            ("https://a..b/", "no valid host"),
            ("https://a.b./", "no valid host"),
            ("https://[fe80::1%25eth0]/", "host"),
            ("https://a b/", "cannot be read"),
            ("https://a.b\\@c.d/", "cannot be read"),
            ("https://b\u{fc}cher.example/", "cannot be read"),
            ("https://a.b/\r\nHost: c", "cannot be read"),
        ] {
            let fault = Url::parse(text).err().unwrap_or_else(|| panic!("{text} was read"));
            assert_eq!(fault.code(), Code::InvalidRequest);
            assert!(fault.text().contains(expected), "{text}: {fault}");
        }
        let long = format!("https://a.b/{}", "x".repeat(8192));
        assert_eq!(Url::parse(&long).err().unwrap().code(), Code::TooLarge);
    }

    #[test]
    fn a_redirect_leads_where_the_reference_says() {
        let base = url("https://a.b/x/y?q");
        for (location, written) in [
            ("/z", "https://a.b:443/z"),
            ("z", "https://a.b:443/x/z"),
            ("../z", "https://a.b:443/z"),
            ("../../../z", "https://a.b:443/z"),
            ("?p", "https://a.b:443/x/y?p"),
            ("//c.d/z", "https://c.d:443/z"),
            ("http://c.d:81/z#f", "http://c.d:81/z"),
            ("HTTP://C.d", "http://c.d:80/"),
        ] {
            assert_eq!(base.join(location).unwrap().uri.to_string(), written, "{location}");
        }
        // What only the web allows in a path is no obstacle.
        let odd = url("https://a.b/x[1]|{/y?q=[");
        assert_eq!(odd.join("z").unwrap().uri.to_string(), "https://a.b:443/x%5B1%5D%7C%7B/z");
        assert_eq!(
            odd.join("https://[2001:db8::1]/[").unwrap().uri.to_string(),
            "https://[2001:db8::1]:443/["
        );
        assert_eq!(odd.join("").unwrap().uri.to_string(), "https://a.b:443/x%5B1%5D%7C%7B/y?q=%5B");
        for wrong in ["file:///etc/passwd", "http://", "http://a b", "https://u@c.d", "javascript:1"] {
            assert_eq!(base.join(wrong).err().unwrap().code(), Code::Unavailable, "{wrong}");
        }
    }
}
