//! Values in a store, under a prefix.

mod memory;
#[cfg(feature = "redb")]
mod redb;
mod store;
#[cfg(any(test, feature = "suite"))]
pub mod suite;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use antiphon::{Bytes, HostCall, async_trait};
use serde::{Deserialize, Serialize};

use crate::gate::Serve;
use crate::routes::{Wrong, no_operation};
use crate::wire::{Blob, Done, read};
use crate::{Backends, Code, Fault, KeyvalueGrant};
pub use memory::MemoryStore;
#[cfg(feature = "redb")]
pub use redb::{RedbError, RedbStore};
pub use store::{Durability, Entry, List, Page, Put, Store, StoreError};

/// The longest key of a guest, in bytes.
const LONGEST_KEY: usize = 512;
/// How many keys a list has where the guest does not say, and at most.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneKey<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutRequest<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Blob<'a>,
    #[serde(default)]
    expires_in_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareAndSet<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Blob<'a>,
    revision: u64,
    #[serde(default)]
    expires_in_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRequest<'a> {
    #[serde(borrow, default)]
    prefix: Cow<'a, str>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(borrow, default)]
    after: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Got<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Blob<'a>>,
    revision: u64,
}

#[derive(Serialize)]
struct Written {
    revision: u64,
}

#[derive(Serialize)]
struct Listed<'a> {
    keys: Vec<&'a str>,
    more: bool,
}

/// Serves the namespace `keyvalue`.
pub(crate) struct Keyvalue {
    store: Arc<dyn Store>,
    prefix: String,
    durability: Durability,
    read_only: bool,
    largest: usize,
}

impl Keyvalue {
    pub(crate) fn new(grant: &KeyvalueGrant, module: &str, backends: &Backends) -> Result<Self, Wrong> {
        let Some(store) = backends.stores.get(&grant.store) else {
            let known: Vec<_> = backends.stores.keys().map(|name| format!("{name:?}")).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(("keyvalue.store", format!("there is no store {:?}; there is {known}", grant.store)));
        };
        Ok(Self {
            store: Arc::clone(store),
            prefix: grant.prefix.clone().unwrap_or_else(|| format!("{module}/")),
            durability: grant.durability,
            read_only: grant.read_only,
            largest: usize::try_from(grant.value).unwrap_or(usize::MAX),
        })
    }

    /// Returns the key of the store for a key of the guest. Whatever a guest writes comes behind
    /// the prefix, so there is no key that leads out of it.
    fn full(&self, key: &str) -> Result<String, Fault> {
        if key.is_empty() {
            return Err(Fault::invalid("the key is empty; a key has 1 to 512 bytes"));
        }
        bounded("key", key)?;
        Ok([&self.prefix, key].concat())
    }

    fn may_write(&self) -> Result<(), Fault> {
        if self.read_only {
            let text = "the keyvalue grant of this module is read-only; set read_only = false in it";
            return Err(Fault::new(Code::NotGranted, text));
        }
        Ok(())
    }

    async fn put(&self, put: CompareAndSet<'_>, revision: Option<u64>) -> Result<Written, Fault> {
        self.may_write()?;
        let key = self.full(&put.key)?;
        let (size, most) = (put.value.0.len(), self.largest);
        if size > most {
            return Err(Fault::new(Code::TooLarge, format!("the value has {size} of {most} bytes")));
        }
        let expires_in = match put.expires_in_ms {
            Some(0) => return Err(Fault::invalid("expires_in_ms is 0; leave it out, or give at least 1")),
            other => other.map(Duration::from_millis),
        };
        let mut asked = Put::new(&key, put.value.to_bytes()).durability(self.durability);
        asked.revision = revision;
        asked.expires_in = expires_in;
        Ok(Written { revision: self.store.put(asked).await? })
    }

    async fn list(&self, asked: &ListRequest<'_>) -> Result<Page, Fault> {
        bounded("prefix", &asked.prefix)?;
        bounded("after", asked.after.as_deref().unwrap_or_default())?;
        let limit = asked.limit.unwrap_or(LISTED);
        if !(1..=MOST_LISTED).contains(&limit) {
            return Err(Fault::invalid(format!("the limit is {limit}; a list has 1 to {MOST_LISTED} keys")));
        }
        let prefix = [&self.prefix, &*asked.prefix].concat();
        let after = asked.after.as_ref().map(|after| [&self.prefix, &**after].concat());
        let list = List { prefix: &prefix, after: after.as_deref(), limit };
        Ok(self.store.list(list).await?)
    }
}

fn bounded(what: &str, key: &str) -> Result<(), Fault> {
    if key.len() > LONGEST_KEY {
        let text = format!("the {what} has {} bytes; a key has at most {LONGEST_KEY}", key.len());
        return Err(Fault::new(Code::TooLarge, text));
    }
    Ok(())
}

#[async_trait]
impl Serve for Keyvalue {
    async fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault> {
        match call.operation {
            "get" => {
                let (OneKey { key }, format) = read(call.payload)?;
                let entry = self.store.get(&self.full(&key)?).await?;
                let (value, revision) = match &entry {
                    Some(entry) => (Some((&*entry.value).into()), entry.revision),
                    None => (None, 0),
                };
                format.write(&Got { value, revision })
            }
            "put" => {
                let (PutRequest { key, value, expires_in_ms }, format) = read(call.payload)?;
                let put = CompareAndSet { key, value, revision: 0, expires_in_ms };
                format.write(&self.put(put, None).await?)
            }
            "compare_and_set" => {
                let (put, format) = read::<CompareAndSet<'_>>(call.payload)?;
                let revision = put.revision;
                format.write(&self.put(put, Some(revision)).await?)
            }
            "delete" => {
                let (OneKey { key }, format) = read(call.payload)?;
                self.may_write()?;
                self.store.delete(&self.full(&key)?, self.durability).await?;
                format.write(&Done {})
            }
            "list" => {
                let (asked, format) = read::<ListRequest<'_>>(call.payload)?;
                let page = self.list(&asked).await?;
                // The store listed below the prefix only.
                let keys = page.keys.iter().filter_map(|key| key.strip_prefix(&self.prefix)).collect();
                format.write(&Listed { keys, more: page.more })
            }
            _ => Err(no_operation(&call, "get, put, delete, list and compare_and_set")),
        }
    }
}
