//! Values by keys, in a store of the host.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::calls::{call, millis};
use super::{Code, Refused};
use crate::imports::Target;

/// What a `keyvalue` grant gives: the keys of the host's store that begin with the grant's prefix,
/// which the guest leaves out. A key has 1 to 512 bytes.
///
/// `Store::default()` is that of the only grant, or of the one named `default`.
///
/// ```
/// use antiphon_guest::keyvalue::{Entry, Revision, Store};
/// use antiphon_guest::testing;
///
/// testing::on_host_call(|call| match call.operation {
///     "put" => Ok(b"\x81\xa8revision\x01".to_vec()),
///     _ => Ok(b"\x82\xa5value\xc4\x03tea\xa8revision\x01".to_vec()),
/// });
/// let store = Store::default();
/// let revision = store.put("article", "tea")?;
/// assert_eq!(store.get("article")?, Some(Entry { value: b"tea".to_vec(), revision: Revision(1) }));
/// # Ok::<(), antiphon_guest::Refused>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a store does nothing until it is asked"]
pub struct Store<'a> {
    grant: &'a str,
    expires_in_ms: Option<u64>,
}

/// A value as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Its revision.
    pub revision: Revision,
}

/// Which write of a key a value is from. Each write has a higher one than the write before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a key that is not there.
    pub const ABSENT: Self = Self(0);
}

/// A value was not written, because its key has another revision than the guest expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict(Refused);

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Conflict {}

#[derive(Serialize)]
struct Named<'a> {
    key: &'a str,
}

#[derive(Serialize)]
struct Put<'a> {
    key: &'a str,
    value: &'a Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Written {
    revision: Revision,
}

impl<'a> Store<'a> {
    /// Returns the store of the grant with this name.
    pub const fn grant(name: &'a str) -> Self {
        Self { grant: name, expires_in_ms: None }
    }

    /// Makes what is written last this long, in whole milliseconds, at least 1. Other values stay
    /// until they are deleted.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use antiphon_guest::keyvalue::Store;
    ///
    /// let sessions = Store::grant("sessions").expires_in(Duration::from_secs(600));
    /// sessions.put("8d3f", "Ada")?;
    /// # Ok::<(), antiphon_guest::Refused>(())
    /// ```
    pub fn expires_in(self, time: Duration) -> Self {
        Self { expires_in_ms: Some(millis(time)), ..self }
    }

    /// Returns the value of a key; `None` if it is not there, or has expired.
    ///
    /// # Errors
    ///
    /// The host refused.
    pub fn get(self, key: &str) -> Result<Option<Entry>, Refused> {
        #[derive(Deserialize)]
        struct Got {
            #[serde(default)]
            value: Option<ByteBuf>,
            revision: Revision,
        }

        let Got { value, revision } = self.ask("get", &Named { key })?;
        Ok(value.map(|value| Entry { value: value.into_vec(), revision }))
    }

    /// Writes a value, whatever the key has now.
    ///
    /// # Errors
    ///
    /// The host refused. After [`Code::Unavailable`] it is not known whether the value was written.
    pub fn put(self, key: &str, value: impl AsRef<[u8]>) -> Result<Revision, Refused> {
        self.write("put", Put { revision: None, ..self.of(key, value.as_ref()) })
    }

    /// Writes a value if the key still has this revision, [`Revision::ABSENT`] if it must not be
    /// there. The inner result says whether it was written.
    ///
    /// ```no_run
    /// use antiphon_guest::Refused;
    /// use antiphon_guest::keyvalue::{Entry, Revision, Store};
    ///
    /// /// Adds one, also if another guest does so at the same time.
    /// fn count(key: &str) -> Result<u8, Refused> {
    ///     let store = Store::default();
    ///     loop {
    ///         let Entry { value, revision } =
    ///             store.get(key)?.unwrap_or(Entry { value: vec![0], revision: Revision::ABSENT });
    ///         let next = value[0] + 1;
    ///         if store.compare_and_set(key, revision, [next])?.is_ok() {
    ///             return Ok(next);
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn compare_and_set(
        self,
        key: &str,
        expected: Revision,
        value: impl AsRef<[u8]>,
    ) -> Result<Result<Revision, Conflict>, Refused> {
        let put = Put { revision: Some(expected), ..self.of(key, value.as_ref()) };
        match self.write("compare_and_set", put) {
            Err(refused) if refused.code() == Code::Conflict => Ok(Err(Conflict(refused))),
            written => written.map(Ok),
        }
    }

    /// Deletes a key. It is no error if it is not there.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete(self, key: &str) -> Result<(), Refused> {
        self.ask("delete", &Named { key }).map(|IgnoredAny| ())
    }

    /// Lists the keys that begin with `prefix`, which may be empty, in the order of their bytes, as
    /// an iterator of pages.
    ///
    /// ```
    /// use antiphon_guest::keyvalue::Store;
    /// # antiphon_guest::testing::on_host_call(|call| {
    /// #     Ok(match call.payload.ends_with(b"\xa5after\xa2u2") {
    /// #         false => b"\x82\xa4keys\x92\xa2u1\xa2u2\xa4more\xc3".to_vec(),
    /// #         true => b"\x82\xa4keys\x91\xa2u3\xa4more\xc2".to_vec(),
    /// #     })
    /// # });
    ///
    /// let mut users = Vec::new();
    /// for page in Store::default().list("u").limit(2) {
    ///     users.extend(page?.keys);
    /// }
    /// assert_eq!(users, ["u1", "u2", "u3"]);
    /// # Ok::<(), antiphon_guest::Refused>(())
    /// ```
    pub fn list(self, prefix: &'a str) -> List<'a> {
        List { store: self, prefix, limit: None, after: None, done: false }
    }

    fn of<'v>(self, key: &'v str, value: &'v [u8]) -> Put<'v> {
        let expires_in_ms = self.expires_in_ms;
        Put { key, value: Bytes::new(value), revision: None, expires_in_ms }
    }

    fn write(self, operation: &str, put: Put<'_>) -> Result<Revision, Refused> {
        self.ask(operation, &put).map(|Written { revision }| revision)
    }

    fn ask<A: DeserializeOwned>(self, operation: &str, request: &impl Serialize) -> Result<A, Refused> {
        call(Target { binding: self.grant, namespace: "keyvalue", operation }, request)
    }
}

/// A page of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Page {
    /// The keys in their order.
    pub keys: Vec<String>,
    /// Whether more keys follow the last one.
    pub more: bool,
}

/// Lists keys by pages. Each page is a host call, and sees the store as it is then.
#[derive(Clone, Debug)]
#[must_use = "a list asks for nothing until it is iterated over"]
pub struct List<'a> {
    store: Store<'a>,
    prefix: &'a str,
    limit: Option<u32>,
    after: Option<String>,
    done: bool,
}

impl List<'_> {
    /// Sets how many keys a page has at most, 1 to 1000. Without it a page has 100.
    pub fn limit(self, keys: u32) -> Self {
        Self { limit: Some(keys), ..self }
    }

    /// Begins behind this key, which need not be there: the last one of a page that an earlier call
    /// of the guest had.
    pub fn after(self, key: impl Into<String>) -> Self {
        Self { after: Some(key.into()), ..self }
    }

    fn page(&self) -> Result<Page, Refused> {
        #[derive(Serialize)]
        struct Asked<'a> {
            prefix: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            limit: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            after: Option<&'a str>,
        }

        let asked = Asked { prefix: self.prefix, limit: self.limit, after: self.after.as_deref() };
        self.store.ask("list", &asked)
    }
}

impl Iterator for List<'_> {
    type Item = Result<Page, Refused>;

    /// Returns the next page, which is empty if nothing is listed; nothing follows the last page,
    /// or a refusal.
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let page = self.page();
        let next = page.as_ref().ok().filter(|page| page.more).and_then(|page| page.keys.last());
        self.done = next.is_none();
        if let Some(last) = next {
            self.after = Some(last.clone());
        }
        Some(page)
    }
}

impl core::iter::FusedIterator for List<'_> {}
