//! What a backend of the key-value store implements.

use std::fmt;
use std::time::Duration;

use antiphon::{Bytes, async_trait};
use serde::{Deserialize, Serialize};

use crate::{Code, Fault};

/// A store of values by keys, which all modules of a program share.
///
/// Keys are text of 1 to 1024 bytes, in the order of their bytes. Each write of a key gives it a
/// revision that is above 0 and above all that the key had before, also across deletion and
/// expiry. An expired value is as good as deleted from that moment on; when its room is freed is
/// the store's own matter.
///
/// The crate's feature `suite` has tests of behaviour that every backend should run.
#[async_trait]
pub trait Store: Send + Sync {
    /// Returns the value of a key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Writes a value and returns its revision.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the put has a revision and the key another one; nothing is
    /// written then. [`StoreError::Unavailable`]: it is not known whether it was written.
    ///
    /// # Cancel safety
    /// If the future is dropped, the value may be written or not.
    async fn put(&self, put: Put<'_>) -> Result<u64, StoreError>;

    /// Deletes a key. It is no error if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn delete(&self, key: &str, durability: Durability) -> Result<(), StoreError>;

    /// Lists keys in their order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn list(&self, list: List<'_>) -> Result<Page, StoreError>;
}

/// A value as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Its revision.
    pub revision: u64,
}

/// A write of one value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Put<'a> {
    /// The key.
    pub key: &'a str,
    /// The value.
    pub value: Bytes,
    /// The revision that the key must have, 0 for a key that must not be there; `None` for any.
    pub revision: Option<u64>,
    /// How long the value lasts; `None` until it is deleted.
    pub expires_in: Option<Duration>,
    /// When the write is done.
    pub durability: Durability,
}

impl<'a> Put<'a> {
    /// Creates a write that does not expire, whatever the key has now.
    pub fn new(key: &'a str, value: impl Into<Bytes>) -> Self {
        let durability = Durability::Immediate;
        Self { key, value: value.into(), revision: None, expires_in: None, durability }
    }

    /// Writes only if the key has this revision, 0 if it is not there.
    #[must_use]
    pub fn if_revision(self, revision: u64) -> Self {
        Self { revision: Some(revision), ..self }
    }

    /// Sets how long the value lasts.
    #[must_use]
    pub fn expires_in(self, time: Duration) -> Self {
        Self { expires_in: Some(time), ..self }
    }

    /// Sets when the write is done.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

/// When a write is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Once it survives a loss of power.
    #[default]
    Immediate,
    /// Once others see it. The writes of the last second, and their revisions, are lost with the
    /// machine's power, or if the process ends without notice.
    Eventual,
}

/// Which keys to list.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// What the keys begin with; empty for all.
    pub prefix: &'a str,
    /// The key that the list begins behind, the last one of the page before. It need not be there,
    /// nor have the prefix.
    pub after: Option<&'a str>,
    /// The most keys, at least 1.
    pub limit: u32,
}

/// A page of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys in their order.
    pub keys: Vec<String>,
    /// Whether more keys follow the last one.
    pub more: bool,
}

/// Why a store refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The key has another revision than the put asked for.
    Conflict {
        /// The revision that the key has, 0 if it is not there.
        has: u64,
    },
    /// The store failed, or cannot take more now. A guest reads the text, so it must not speak of
    /// paths or addresses.
    Unavailable(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { has: 0 } => f.write_str("the key is not there"),
            Self::Conflict { has } => write!(f, "the key has revision {has}"),
            Self::Unavailable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Conflict { .. } => Code::Conflict,
            StoreError::Unavailable(_) => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

/// Where to begin a list, and whether with that key itself.
pub(super) fn start<'a>(list: &List<'a>) -> (&'a str, bool) {
    match list.after {
        Some(after) if after >= list.prefix => (after, false),
        _ => (list.prefix, true),
    }
}
