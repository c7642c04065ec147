//! Grants: what a module may ask of its host, as plain data.

mod check;
mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{ConfigValue, Durability, Level, Origin};
use units::{duration, size, size_or_none, write_duration};

/// The grants of one module. An empty list grants nothing.
///
/// ```
/// use antiphon_capabilities::Grants;
///
/// let grants: Grants = serde_json::from_str(r#"[
///     {"keyvalue": {"max_bytes": "64KiB"}},
///     {"name": "rates", "http": {"allow": ["https://api.rates.example"], "timeout": "1s"}},
///     {"config": {"currency": "EUR", "api_key": {"file": "/run/secrets/rates"}}}
/// ]"#)?;
/// assert_eq!(grants.0.len(), 3);
///
/// let error = serde_json::from_str::<Grants>(r#"[{"keyvalue": {"max_byte": 1}}]"#).unwrap_err();
/// assert!(error.to_string().starts_with("unknown field `max_byte`"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Grants(pub Vec<Grant>);

/// One grant: exactly one of the capabilities, and optionally a name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Grant {
    /// The binding that guests name in their host calls, at most 64 bytes. Default: `default`. A
    /// grant that is the only one of its capability is also reached by `default` and by an empty
    /// binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Grants values in a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyvalue: Option<KeyvalueGrant>,
    /// Grants outgoing requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpGrant>,
    /// Grants configuration values and secrets, by their names: text, numbers and booleans are read
    /// with `config`, `{ file = ".." }` and `{ env = ".." }` with `secrets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigGrant>,
    /// Grants log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<LoggingGrant>,
    /// Grants calls of other modules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleGrant>,
}

/// Values and references to secrets, by name.
pub type ConfigGrant = BTreeMap<String, ConfigValue>;

/// Grants values in a store.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyvalueGrant {
    /// The store's name. Default: `default`.
    pub store: String,
    /// What is put in front of each key, at most 256 bytes, so that the module sees nothing else of
    /// the store. Default: the module's name and a slash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// When a write is answered: `immediate` once it is on disk, `eventual` at once, with a loss of
    /// the last second if the machine fails. Default: `immediate`.
    pub durability: Durability,
    /// Whether the module can only read. Default: false.
    pub read_only: bool,
    /// The size of a value in bytes, at most 3 MiB. Default: 1 MiB.
    #[serde(deserialize_with = "size")]
    pub value: u64,
    /// How many host calls one guest call makes with this grant. Default: the limit of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// How many bytes one guest call exchanges with this grant, requests and answers together.
    /// Default: the limit of the host.
    #[serde(deserialize_with = "size_or_none", skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// How many host calls all instances of the module make with this grant in a second, on
    /// average. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls_per_second: Option<u32>,
    /// How many host calls of all instances of the module wait for this grant at the same time.
    /// Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
}

impl Default for KeyvalueGrant {
    fn default() -> Self {
        Self {
            store: "default".into(),
            prefix: None,
            durability: Durability::Immediate,
            read_only: false,
            value: 1 << 20,
            max_calls: None,
            max_bytes: None,
            max_calls_per_second: None,
            max_concurrent: None,
        }
    }
}

/// Grants outgoing HTTP requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpGrant {
    /// The origins that requests and redirects may go to: `https://api.example.com`,
    /// `http://[2001:db8::1]:8080`, `https://*.example.com`. Default: none.
    pub allow: Vec<Origin>,
    /// The methods. Default: `GET`.
    pub methods: Vec<String>,
    /// Private addresses that may be connected to nevertheless, such as `10.1.2.0/24`. Default:
    /// none.
    pub allow_addresses: Vec<IpNet>,
    /// How long a request may take with all of its redirects. Default: 5 s.
    #[serde(deserialize_with = "duration", serialize_with = "write_duration")]
    pub timeout: Duration,
    /// The size of a request's body in bytes. Default: 1 MiB.
    #[serde(deserialize_with = "size")]
    pub request: u64,
    /// The size of a response's body in bytes, at most 3 MiB. Default: 1 MiB.
    #[serde(deserialize_with = "size")]
    pub response: u64,
    /// How many redirects are followed, 0 to 5. At 0 the guest gets the redirect itself. Default:
    /// 5.
    pub redirects: u32,
    /// How many requests one guest call makes. Default: the limit of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// How many bytes one guest call exchanges with this grant, requests and answers together.
    /// Default: the limit of the host.
    #[serde(deserialize_with = "size_or_none", skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// How many requests all instances of the module make in a second, on average. Default: no
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls_per_second: Option<u32>,
    /// How many requests of all instances of the module run at the same time. Default: 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
}

impl Default for HttpGrant {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            methods: vec!["GET".into()],
            allow_addresses: Vec::new(),
            timeout: Duration::from_secs(5),
            request: 1 << 20,
            response: 1 << 20,
            redirects: 5,
            max_calls: None,
            max_bytes: None,
            max_calls_per_second: None,
            max_concurrent: Some(64),
        }
    }
}

/// Grants log lines.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LoggingGrant {
    /// The least level that is logged: `trace`, `debug`, `info`, `warn` or `error`. Default:
    /// `info`.
    pub level: Level,
    /// How many lines all instances of the module log in a second, on average, at least 1. Further
    /// lines are dropped and counted. Default: 100.
    pub max_lines_per_second: u32,
    /// How many lines one guest call logs, dropped ones included; what is more is refused. Default:
    /// the limit of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
}

impl Default for LoggingGrant {
    fn default() -> Self {
        Self { level: Level::Info, max_lines_per_second: 100, max_calls: None }
    }
}

/// Grants calls of other modules.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModuleGrant {
    /// The names of the modules; an asterisk at the end of a name stands for any rest. Default:
    /// none.
    pub names: Vec<String>,
    /// How many calls one guest call makes. Default: the limit of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// How many bytes one guest call exchanges with this grant, requests and answers together.
    /// Default: the limit of the host.
    #[serde(deserialize_with = "size_or_none", skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// How many calls all instances of the module make in a second, on average. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls_per_second: Option<u32>,
    /// How many calls of all instances of the module run at the same time. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
}

/// Why grants make no routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantError {
    grant: usize,
    key: &'static str,
    text: String,
}

impl GrantError {
    pub(crate) fn new(grant: usize, key: &'static str, text: impl Into<String>) -> Self {
        Self { grant, key, text: text.into() }
    }

    /// Returns the place of the grant in its list, counted from 0.
    #[must_use]
    pub fn grant(&self) -> usize {
        self.grant
    }

    /// Returns the key that is wrong, such as `http.methods`; empty for the whole grant.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// Returns what is wrong, and what was expected.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grant {}", self.grant + 1)?;
        if !self.key.is_empty() {
            write!(f, ", {}", self.key)?;
        }
        write!(f, ": {}", self.text)
    }
}

impl std::error::Error for GrantError {}
