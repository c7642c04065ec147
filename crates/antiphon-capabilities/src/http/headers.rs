//! Headers between a guest and a server.

use std::borrow::Cow;

use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use crate::text::quoted;
use crate::{Code, Fault};

/// The most headers, and the most bytes of their names and values together, of a request.
const MOST: usize = 64;
const MOST_BYTES: usize = 16 << 10;

/// Headers that frame the message or belong to one connection. They are the client's own.
const OURS: [HeaderName; 10] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
const OURS_WITHOUT_CONSTANT: [&str; 2] = ["keep-alive", "proxy-connection"];

/// What identifies the guest to one server, and so must not reach another.
const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];
/// What describes a body.
const OF_A_BODY: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE];

/// Names and values in the order of the guest or the server.
pub(super) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Reads the headers of a guest.
pub(super) fn read(pairs: &Pairs<'_>) -> Result<HeaderMap, Fault> {
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if pairs.len() > MOST || bytes > MOST_BYTES {
        let text = format!(
            "a request has at most {MOST} headers of {MOST_BYTES} bytes together; this one has {} of {bytes}",
            pairs.len()
        );
        return Err(Fault::new(Code::TooLarge, text));
    }
    let mut headers = HeaderMap::with_capacity(pairs.len() + 1);
    for (name, value) in pairs {
        let wrong = |what: &str| Fault::invalid(format!("the header {} {what}", quoted(name)));
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("has no valid name"))?;
        if OURS.contains(&known) || OURS_WITHOUT_CONSTANT.contains(&known.as_str()) {
            return Err(wrong("is set by the host, so a guest must leave it out"));
        }
        let value =
            HeaderValue::from_str(value).map_err(|_| wrong("has a value that is not printable ASCII"))?;
        headers.append(known, value);
    }
    let own = HeaderValue::from_static(concat!("antiphon/", env!("CARGO_PKG_VERSION")));
    headers.entry(USER_AGENT).or_insert(own);
    Ok(headers)
}

/// Leaves out what another server must not see.
pub(super) fn drop_credentials(headers: &mut HeaderMap) {
    for name in CREDENTIALS {
        headers.remove(name);
    }
}

/// Leaves out what described the body of a request that goes on without one.
pub(super) fn drop_body(headers: &mut HeaderMap) {
    for name in OF_A_BODY {
        headers.remove(name);
    }
}

/// Returns the headers of a server for a guest. Bytes beyond ASCII that are not UTF-8 are read as
/// Latin-1, which HTTP once said they are.
pub(super) fn of_response(headers: &HeaderMap) -> Pairs<'_> {
    let text = |value: &HeaderValue| match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    };
    headers.iter().map(|(name, value)| (name.as_str().into(), text(value).into())).collect()
}
