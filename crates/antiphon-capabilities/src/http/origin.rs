//! Origins, as an allow list names them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// The origins that a grant allows: a scheme, a host and a port, such as `https://api.example.com`
/// or `http://[2001:db8::1]:8080`. With `https://*.example.com` it is every host below
/// `example.com`, but not `example.com` itself.
///
/// ```
/// use antiphon_capabilities::Origin;
///
/// let origin: Origin = "https://API.example.com".parse()?;
/// assert_eq!(origin.to_string(), "https://api.example.com:443");
/// assert!("https://*".parse::<Origin>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    below: bool,
    of: Target,
}

/// One origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name in lower case.
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Reads a host as an address of the web has it: an IPv6 address in brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = !text.is_empty() && text.len() <= 253 && text.bytes().all(known);
        let whole = !text.starts_with('.') && !text.ends_with('.') && !text.contains("..");
        (fits && whole).then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl Target {
    /// Returns the port of a scheme where none is written.
    pub(crate) fn port_of(secure: bool) -> u16 {
        if secure { 443 } else { 80 }
    }
}

impl Origin {
    #[cfg(feature = "http")]
    pub(crate) fn allows(&self, target: &Target) -> bool {
        let Target { secure, host, port } = &self.of;
        if (*secure, *port) != (target.secure, target.port) {
            return false;
        }
        match (host, &target.host) {
            (Host::Name(name), Host::Name(asked)) if self.below => {
                asked.strip_suffix(name.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
            (own, asked) => own == asked,
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (scheme, rest) = text.split_once("://")?;
            let secure = match scheme {
                "https" => true,
                "http" => false,
                _ => return None,
            };
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let (below, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
            // A colon within brackets is none of a port.
            let port = rest.rfind(':').filter(|colon| rest.rfind(']').is_none_or(|end| end < *colon));
            let (host, port) = match port {
                Some(colon) => (rest.get(..colon)?, rest.get(colon + 1..)?.parse().ok()?),
                None => (rest, Target::port_of(secure)),
            };
            let host = Host::parse(host)?;
            let named = matches!(host, Host::Name(_));
            (port != 0 && (named || !below)).then_some(Self { below, of: Target { secure, host, port } })
        };
        parse().ok_or_else(|| {
            format!(
                "{text:?} is no origin: expected an origin such as \"https://api.example.com\", \
                 \"http://10.0.0.1:8080\" or \"https://*.example.com\""
            )
        })
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.below {
            return self.of.fmt(f);
        }
        let Target { secure, host, port } = &self.of;
        write!(f, "{}://*.{host}:{port}", scheme(*secure))
    }
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secure, host, port } = self;
        write!(f, "{}://{host}:{port}", scheme(*secure))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port_and_no_more() {
        for (text, shown) in [
            ("https://a.b", "https://a.b:443"),
            ("http://A.b/", "http://a.b:80"),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("https://[2001:DB8:0::1]", "https://[2001:db8::1]:443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://*.a.b:444", "https://*.a.b:444"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "a.b",
            "ftp://a.b",
            "https://",
            "https://a.b/path",
            "https://a.b?q",
            "https://user@a.b",
            "https://*",
            "https://*.",
            "https://a.*.b",
            "https://*.10.0.0.1",
            "https://*.[::1]",
            "https://a.b:",
            "https://a.b:0",
            "https://a.b:65536",
            "https://a..b",
            "https://a.b.",
            "https://bücher.example",
            "HTTPS://a.b",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong:?}");
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn an_origin_allows_itself_and_an_asterisk_what_is_below() {
        let target = |secure, host: &str, port| Target { secure, host: Host::parse(host).unwrap(), port };
        let allows = |origin: &str, target: &Target| origin.parse::<Origin>().unwrap().allows(target);
        let api = target(true, "API.example.com", 443);
        assert!(allows("https://api.example.com", &api));
        assert!(allows("https://*.example.com", &api));
        assert!(allows("https://*.com", &api));
        for other in [
            "http://api.example.com:443",
            "https://api.example.com:444",
            "https://example.com",
            "https://*.api.example.com",
            "https://*.ample.com",
            "https://1.2.3.4",
        ] {
            assert!(!allows(other, &api), "{other}");
        }
        assert!(!allows("https://*.example.com", &target(true, "example.com", 443)));
        assert!(!allows("https://*.example.com", &target(true, "badexample.com", 443)));
        assert!(allows("http://[0:0:0::1]", &target(false, "[::1]", 80)));
    }
}
