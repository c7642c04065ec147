//! A store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use antiphon::{Bytes, async_trait};

use super::store::start;
use super::{Durability, Entry, List, Page, Put, Store, StoreError};

/// How many expired values each write frees.
const SWEPT: usize = 32;

/// A store in memory, for tests and for values that need not last. A clone shares the values.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Values>>);

#[derive(Default)]
struct Values {
    revision: u64,
    by_key: BTreeMap<String, Value>,
    /// The keys of values that expire, by when.
    expiring: BTreeSet<(Instant, String)>,
}

struct Value {
    bytes: Bytes,
    revision: u64,
    expires: Option<Instant>,
}

impl Value {
    fn lives(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    fn remove(&mut self, key: &str) {
        if let Some((key, value)) = self.by_key.remove_entry(key)
            && let Some(expires) = value.expires
        {
            self.expiring.remove(&(expires, key));
        }
    }

    fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEPT {
            match self.expiring.first() {
                Some((expires, _)) if *expires <= now => {}
                _ => return,
            }
            if let Some((_, key)) = self.expiring.pop_first() {
                self.by_key.remove(&key);
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let now = Instant::now();
        let values = self.values();
        let value = values.by_key.get(key).filter(|value| value.lives(now));
        Ok(value.map(|value| Entry { value: value.bytes.clone(), revision: value.revision }))
    }

    async fn put(&self, put: Put<'_>) -> Result<u64, StoreError> {
        let now = Instant::now();
        let mut values = self.values();
        values.sweep(now);
        let has =
            values.by_key.get(put.key).filter(|value| value.lives(now)).map_or(0, |value| value.revision);
        if put.revision.is_some_and(|revision| revision != has) {
            return Err(StoreError::Conflict { has });
        }
        values.remove(put.key);
        values.revision += 1;
        // A time that no clock reaches is none.
        let expires = put.expires_in.and_then(|time| now.checked_add(time));
        if let Some(expires) = expires {
            values.expiring.insert((expires, put.key.to_owned()));
        }
        let value = Value { bytes: put.value, revision: values.revision, expires };
        values.by_key.insert(put.key.to_owned(), value);
        Ok(values.revision)
    }

    async fn delete(&self, key: &str, _durability: Durability) -> Result<(), StoreError> {
        let mut values = self.values();
        values.sweep(Instant::now());
        values.remove(key);
        Ok(())
    }

    async fn list(&self, list: List<'_>) -> Result<Page, StoreError> {
        let now = Instant::now();
        let values = self.values();
        let (from, inclusive) = start(&list);
        let from = if inclusive { Bound::Included(from) } else { Bound::Excluded(from) };
        let mut page = Page::default();
        let keys = values.by_key.range::<str, _>((from, Bound::Unbounded));
        let keys = keys.take_while(|(key, _)| key.starts_with(list.prefix));
        for (key, _) in keys.filter(|(_, value)| value.lives(now)) {
            if u32::try_from(page.keys.len()).is_ok_and(|listed| listed >= list.limit) {
                page.more = true;
                break;
            }
            page.keys.push(key.clone());
        }
        Ok(page)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("values", &self.values().by_key.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn expired_values_are_freed_a_few_at_each_write() {
        let store = MemoryStore::new();
        let put = |key: &str, time: Option<Duration>| {
            let mut put = Put::new(key, "v");
            put.expires_in = time;
            antiphon::block_on(store.put(put)).unwrap();
        };
        for number in 0..100 {
            put(&number.to_string(), Some(Duration::from_millis(1)));
        }
        std::thread::sleep(Duration::from_millis(2));
        let mut left = Vec::new();
        for _ in 0..4 {
            put("lasting", None);
            let values = store.values();
            assert_eq!(values.by_key.len(), values.expiring.len() + 1);
            left.push(values.expiring.len());
        }
        // Earlier writes may have freed the first ones already.
        assert!(left.windows(2).all(|pair| pair[0].saturating_sub(pair[1]) <= SWEPT), "{left:?}");
        assert_eq!(left.last(), Some(&0), "{left:?}");
    }
}
