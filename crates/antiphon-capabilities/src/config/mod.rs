//! Configuration values and secrets.

mod secret;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use antiphon::{Bytes, HostCall};
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};

use crate::gate::ServeAtOnce;
use crate::routes::{Wrong, no_operation};
use crate::text::quoted;
use crate::wire::{Blob, read};
use crate::{Backends, Code, ConfigGrant, Fault};
pub use secret::{ReadSecret, Secret, SecretReference, read_reference};

/// A value that a `config` grant gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ConfigValue {
    /// A text, which guests read with `config`. A number or a boolean is kept as its text.
    Text(String),
    /// A secret, which guests read with `secrets`.
    Secret(SecretReference),
}

impl<'de> Deserialize<'de> for ConfigValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = ConfigValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "text, a number, a boolean, or a secret such as { file = \"..\" } or { env = \"..\" }",
                )
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Text(value.into()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Text(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Text(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Text(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Text(value.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConfigValue, A::Error> {
                let reference = SecretReference::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ConfigValue::Secret(reference))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
}

/// Serves the namespace `config`.
pub(crate) struct Config {
    values: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
}

impl Config {
    pub(crate) fn new(grant: &ConfigGrant) -> Self {
        let (mut values, mut secrets) = (BTreeMap::new(), BTreeSet::new());
        for (name, value) in grant {
            match value {
                ConfigValue::Text(text) => _ = values.insert(name.clone(), text.clone()),
                ConfigValue::Secret(_) => _ = secrets.insert(name.clone()),
            }
        }
        Self { values, secrets }
    }
}

impl ServeAtOnce for Config {
    fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault> {
        #[derive(Serialize)]
        struct Said<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            value: Option<&'a str>,
        }

        if call.operation != "get" {
            return Err(no_operation(&call, "get"));
        }
        let (Get { key }, format) = read(call.payload)?;
        if self.secrets.contains(&*key) {
            return Err(Fault::invalid(format!("{} is a secret; read it with secrets, get", quoted(&key))));
        }
        format.write(&Said { value: self.values.get(&*key).map(String::as_str) })
    }
}

/// Serves the namespace `secrets`.
pub(crate) struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    /// Reads the secrets of a grant. `None` if it has none.
    pub(crate) fn new(grant: &ConfigGrant, backends: &Backends) -> Result<Option<Self>, Wrong> {
        let mut secrets = BTreeMap::new();
        for (name, value) in grant {
            if let ConfigValue::Secret(reference) = value {
                let secret = backends
                    .secrets
                    .read(reference)
                    .map_err(|text| ("config", format!("the secret {name:?} cannot be read: {text}")))?;
                secrets.insert(name.clone(), secret);
            }
        }
        Ok((!secrets.is_empty()).then_some(Self(secrets)))
    }
}

impl ServeAtOnce for Secrets {
    fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault> {
        #[derive(Serialize)]
        struct Said<'a> {
            value: Blob<'a>,
        }

        if call.operation != "get" {
            return Err(no_operation(&call, "get"));
        }
        let (Get { key }, format) = read(call.payload)?;
        let secret = self.0.get(&*key).ok_or_else(|| {
            let text = format!("the config grant of this module has no secret {}", quoted(&key));
            Fault::new(Code::NotFound, text)
        })?;
        format.write(&Said { value: secret.expose().into() })
    }
}
