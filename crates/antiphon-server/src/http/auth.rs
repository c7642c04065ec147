//! Who may do what: tokens, their roles, and the modules that they may call.

use http::{HeaderMap, HeaderValue, Uri, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::config::{self, Role};
use crate::outcome::Refusal;

/// The tokens that may enter. Without `[auth]` everybody may, which the configuration allows on
/// loopback alone.
#[derive(Debug)]
pub(super) struct Auth(Option<Vec<config::Token>>);

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant<'a> {
    token: Option<&'a config::Token>,
}

impl Auth {
    pub(super) fn new(auth: Option<&config::Auth>) -> Self {
        Self(auth.map(|auth| auth.tokens.clone()))
    }

    /// Returns whether everybody may enter.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Returns what the sender of a request may do. The token's hash is compared with those of all
    /// tokens, each in constant time.
    ///
    /// # Errors
    /// There is no token, more than one, or an unknown one.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Grant<'_>, Refusal> {
        let Some(tokens) = &self.0 else {
            return Ok(Grant { token: None });
        };
        let presented = bearer(headers).ok_or(Refusal::Unauthorized)?;
        let hash: [u8; 32] = Sha256::digest(presented).into();
        // The number of the token that matches, and 0 for none.
        let mut found = 0_u64;
        for (number, token) in (1_u64..).zip(tokens) {
            let same: Choice = token.sha256.ct_eq(&hash);
            found.conditional_assign(&number, same);
        }
        let index = usize::try_from(found).ok().and_then(|found| found.checked_sub(1));
        let token = index.and_then(|index| tokens.get(index)).ok_or(Refusal::Unauthorized)?;
        Ok(Grant { token: Some(token) })
    }
}

/// Returns the token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

impl<'a> Grant<'a> {
    /// Returns the name of the token, for logs; `-` where none is needed.
    pub(super) fn name(&self) -> &'a str {
        self.token.map_or("-", |token| &token.name)
    }

    /// Returns whether the bearer may see and change everything.
    pub(super) fn is_admin(&self) -> bool {
        self.token.is_none_or(|token| token.role == Role::Admin)
    }

    /// Checks that the bearer may call a module.
    ///
    /// # Errors
    /// The token is not for the module. That says nothing about whether the module exists.
    pub(super) fn may_call(&self, module: &str) -> Result<(), Refusal> {
        let allowed = self.token.is_none_or(|token| {
            token.modules.is_empty() || token.modules.iter().any(|pattern| matches(pattern, module))
        });
        if allowed { Ok(()) } else { Err(Refusal::Forbidden("the token may not call this module".into())) }
    }

    /// Checks that the bearer is an operator.
    ///
    /// # Errors
    /// The token only calls modules.
    pub(super) fn admin(&self) -> Result<(), Refusal> {
        if self.is_admin() {
            Ok(())
        } else {
            Err(Refusal::Forbidden("this takes a token of role admin".into()))
        }
    }
}

/// Returns whether a name fits a pattern: the name itself, or its beginning and `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

/// Checks that a browser did not send the request for a page of another origin.
///
/// Without tokens, the port is open to whatever runs on this machine, and that includes the pages
/// that a browser shows. So then the name of the host is checked too: a foreign page can make its
/// own name resolve to loopback.
///
/// # Errors
/// `Origin` is not the origin of this server, or `Host` is a name that is not of this machine.
pub(super) fn same_origin(headers: &HeaderMap, uri: &Uri, open: bool) -> Result<(), Refusal> {
    // A target that names the server stands before the header, and is all that HTTP/2 has.
    let named = uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = named.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes));
    if open && host.is_some_and(|host| !is_local(host)) {
        return Err(Refusal::CrossOrigin);
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.as_bytes();
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    match (authority, host) {
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Refusal::CrossOrigin),
    }
}

/// Returns whether an authority is an address or a name that only this machine has.
fn is_local(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &str, role: Role, modules: &[&str]) -> config::Token {
        let modules = modules.iter().map(|&module| module.to_owned()).collect();
        config::Token { name: name.into(), sha256: Sha256::digest(secret).into(), role, modules }
    }

    fn auth() -> Auth {
        let tokens = vec![
            token("shop", "s3cret", Role::Call, &["pricing", "tax*"]),
            token("all", "calls", Role::Call, &[]),
            token("ops", "0ps", Role::Admin, &[]),
        ];
        Auth::new(Some(&config::Auth { tokens }))
    }

    fn with(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_enters_by_its_hash_and_nothing_else_does() {
        let auth = auth();
        for (value, name) in [("Bearer s3cret", "shop"), ("bearer  calls ", "all"), ("BEARER 0ps", "ops")] {
            assert_eq!(auth.check(&with(&[value])).unwrap().name(), name);
        }
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer s3cre"],
            &["Bearer s3crett"],
            &["Basic s3cret"],
            &["s3cret"],
            &["Bearer s3cret", "Bearer s3cret"],
        ] {
            assert_eq!(auth.check(&with(values)).unwrap_err(), Refusal::Unauthorized, "{values:?}");
        }
    }

    #[test]
    fn a_token_calls_the_modules_of_its_patterns() {
        let auth = auth();
        let (shop, all, ops) = (with(&["Bearer s3cret"]), with(&["Bearer calls"]), with(&["Bearer 0ps"]));
        for (module, allowed) in [
            ("pricing", true),
            ("tax", true),
            ("taxes", true),
            ("pricing2", false),
            ("ta", false),
            ("", false),
        ] {
            assert_eq!(auth.check(&shop).unwrap().may_call(module).is_ok(), allowed, "{module}");
        }
        assert!(auth.check(&all).unwrap().may_call("anything").is_ok());
        assert!(auth.check(&shop).unwrap().admin().is_err());
        assert!(auth.check(&all).unwrap().admin().is_err());
        assert!(auth.check(&ops).unwrap().admin().is_ok());
    }

    #[test]
    fn without_tokens_everybody_is_an_operator_and_an_empty_list_lets_nobody_in() {
        let open = Auth::new(None);
        assert!(open.is_open() && open.check(&HeaderMap::new()).unwrap().is_admin());
        let closed = Auth::new(Some(&config::Auth { tokens: Vec::new() }));
        assert_eq!(closed.check(&with(&["Bearer x"])).unwrap_err(), Refusal::Unauthorized);
    }

    #[test]
    fn pages_of_other_origins_are_kept_out() {
        let check = |host: &str, origin: Option<&str>, open| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            same_origin(&headers, &Uri::from_static("/v1/modules"), open).is_ok()
        };
        assert!(check("127.0.0.1:7471", None, true));
        assert!(check("[::1]:7471", None, true));
        assert!(check("localhost:7471", Some("http://localhost:7471"), true));
        assert!(check("admin.example", Some("https://admin.example"), false));
        for (host, origin, open) in [
            ("127.0.0.1:7471", Some("http://evil.example"), true),
            ("127.0.0.1:7471", Some("null"), true),
            ("127.0.0.1:7471", Some("http://127.0.0.1:80"), true),
            // A page whose name was made to resolve to loopback.
            ("evil.example:7471", Some("http://evil.example:7471"), true),
            ("evil.example:7471", None, true),
            ("admin.example", Some("https://evil.example"), false),
        ] {
            assert!(!check(host, origin, open), "{host} {origin:?}");
        }
        let target = Uri::from_static("https://evil.example/v1/modules");
        assert!(same_origin(&HeaderMap::new(), &target, true).is_err());
    }
}
