//! What the file holds, and each access to it as one function.

use std::ops::Bound;

use antiphon::Bytes;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::now;
use crate::keyvalue::store::start;
use crate::keyvalue::{Entry, List, Page, StoreError};

/// Keys, and with each the revision, the time of expiry and the value.
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("antiphon.entries.1");
/// The keys of values that expire, by when.
const EXPIRING: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("antiphon.expiring.1");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("antiphon.counters.1");
/// The revision that was given last.
const REVISION: &str = "revision";

/// The time of a value that does not expire.
const NEVER: u64 = 0;

/// An error of redb. It is large.
type Failed = Box<redb::Error>;

fn failed(error: impl Into<redb::Error>) -> Failed {
    Box::new(error.into())
}

/// A change of one key.
#[derive(Debug)]
pub(super) enum Write {
    Put { key: String, value: Bytes, revision: Option<u64>, expires: Option<u64> },
    Delete { key: String },
}

/// The tables of a file.
pub(super) struct Tables(Database);

impl Tables {
    pub(super) fn of(database: Database) -> Result<Self, redb::Error> {
        let write = database.begin_write()?;
        write.open_table(ENTRIES)?;
        write.open_table(EXPIRING)?;
        write.open_table(COUNTERS)?;
        write.commit()?;
        Ok(Self(database))
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, Failed> {
        let entries = self.0.begin_read().map_err(failed)?.open_table(ENTRIES).map_err(failed)?;
        let Some(stored) = entries.get(key).map_err(failed)? else { return Ok(None) };
        let Stored { revision, expires, value } = Stored::read(stored.value());
        let entry = || Entry { value: Bytes::copy_from_slice(value), revision };
        Ok(lives(expires, now()).then(entry))
    }

    pub(super) fn list(&self, list: &List<'_>) -> Result<Page, Failed> {
        let entries = self.0.begin_read().map_err(failed)?.open_table(ENTRIES).map_err(failed)?;
        let (from, inclusive) = start(list);
        let from = if inclusive { Bound::Included(from) } else { Bound::Excluded(from) };
        let (mut page, now) = (Page::default(), now());
        for entry in entries.range::<&str>((from, Bound::Unbounded)).map_err(failed)? {
            let (key, stored) = entry.map_err(failed)?;
            if !key.value().starts_with(list.prefix) {
                break;
            }
            if !lives(Stored::read(stored.value()).expires, now) {
                continue;
            }
            if u32::try_from(page.keys.len()).is_ok_and(|listed| listed >= list.limit) {
                page.more = true;
                break;
            }
            page.keys.push(key.value().to_owned());
        }
        Ok(page)
    }

    /// Applies changes in one transaction, in their order, and returns an answer for each.
    pub(super) fn write<'w>(
        &self,
        writes: impl Iterator<Item = &'w Write>,
        durable: bool,
    ) -> Result<Vec<Result<u64, StoreError>>, Failed> {
        let transaction = self.begin(durable)?;
        let answers = {
            let mut open = Open::of(&transaction)?;
            let answers = writes.map(|write| open.apply(write)).collect::<Result<Vec<_>, _>>()?;
            open.close()?;
            answers
        };
        transaction.commit().map_err(failed)?;
        Ok(answers)
    }

    /// Frees expired values, `most` at most, and returns how many. It is not durable: a value that
    /// comes back expires again.
    pub(super) fn sweep(&self, most: usize) -> Result<usize, Failed> {
        let now = now();
        let mut due = Vec::new();
        {
            let expiring = self.0.begin_read().map_err(failed)?.open_table(EXPIRING).map_err(failed)?;
            for entry in expiring.range(..=(now, "")).map_err(failed)?.take(most) {
                let (expired, _) = entry.map_err(failed)?;
                let (expires, key) = expired.value();
                due.push((expires, key.to_owned()));
            }
        }
        if due.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin(false)?;
        {
            let mut open = Open::of(&transaction)?;
            for (expires, key) in &due {
                open.expiring.remove((*expires, key.as_str())).map_err(failed)?;
                open.entries.remove(key.as_str()).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(due.len())
    }

    /// Puts everything on disk that was written so far.
    pub(super) fn flush(&self) -> Result<(), Failed> {
        self.begin(true)?.commit().map_err(failed)
    }

    fn begin(&self, durable: bool) -> Result<WriteTransaction, Failed> {
        let mut transaction = self.0.begin_write().map_err(failed)?;
        let durability = if durable { Durability::Immediate } else { Durability::None };
        transaction.set_durability(durability).map_err(failed)?;
        Ok(transaction)
    }
}

/// The tables in a transaction.
struct Open<'t> {
    entries: Table<'t, &'static str, &'static [u8]>,
    expiring: Table<'t, (u64, &'static str), ()>,
    counters: Table<'t, &'static str, u64>,
    /// The revision that was given last.
    revision: u64,
}

impl<'t> Open<'t> {
    fn of(transaction: &'t WriteTransaction) -> Result<Self, Failed> {
        let counters = transaction.open_table(COUNTERS).map_err(failed)?;
        let revision = counters.get(REVISION).map_err(failed)?.map_or(0, |revision| revision.value());
        Ok(Self {
            entries: transaction.open_table(ENTRIES).map_err(failed)?,
            expiring: transaction.open_table(EXPIRING).map_err(failed)?,
            counters,
            revision,
        })
    }

    fn close(mut self) -> Result<(), Failed> {
        self.counters.insert(REVISION, self.revision).map_err(failed)?;
        Ok(())
    }

    fn apply(&mut self, write: &Write) -> Result<Result<u64, StoreError>, Failed> {
        let (key, expires) = match write {
            Write::Put { key, expires, .. } => (key.as_str(), expires.unwrap_or(NEVER)),
            Write::Delete { key } => (key.as_str(), NEVER),
        };
        let (has, expired) = match self.entries.get(key).map_err(failed)? {
            Some(stored) => {
                let Stored { revision, expires, .. } = Stored::read(stored.value());
                (if lives(expires, now()) { revision } else { 0 }, expires)
            }
            None => (0, NEVER),
        };
        if let Write::Put { revision: Some(revision), .. } = write
            && *revision != has
        {
            return Ok(Err(StoreError::Conflict { has }));
        }
        if expired != NEVER {
            self.expiring.remove((expired, key)).map_err(failed)?;
        }
        let Write::Put { value, .. } = write else {
            self.entries.remove(key).map_err(failed)?;
            return Ok(Ok(0));
        };
        self.revision = self.revision.saturating_add(1);
        let stored = Stored { revision: self.revision, expires, value };
        self.entries.insert(key, stored.to_vec().as_slice()).map_err(failed)?;
        if expires != NEVER {
            self.expiring.insert((expires, key), ()).map_err(failed)?;
        }
        Ok(Ok(self.revision))
    }
}

fn lives(expires: u64, now: u64) -> bool {
    expires == NEVER || expires > now
}

/// A value as it lies in the file: two numbers of 8 bytes, then the value.
struct Stored<'a> {
    revision: u64,
    expires: u64,
    value: &'a [u8],
}

impl<'a> Stored<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let number = |bytes: &'a [u8]| match bytes.split_first_chunk::<8>() {
            Some((number, rest)) => (u64::from_be_bytes(*number), rest),
            // Nothing else writes this table.
            None => (NEVER, bytes),
        };
        let (revision, rest) = number(bytes);
        let (expires, value) = number(rest);
        Self { revision, expires, value }
    }

    fn to_vec(&self) -> Vec<u8> {
        [&self.revision.to_be_bytes()[..], &self.expires.to_be_bytes(), self.value].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, expires: Option<u64>) -> Write {
        Write::Put { key: key.into(), value: Bytes::from_static(b"v"), revision: None, expires }
    }

    #[test]
    fn a_sweep_frees_expired_values_step_by_step_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let tables = Tables::of(Database::create(folder.path().join("s")).unwrap()).unwrap();
        let mut writes: Vec<_> = (0..25).map(|n| put(&format!("old{n}"), Some(n + 1))).collect();
        writes.push(put("later", Some(now() + 60_000)));
        writes.push(put("lasting", None));
        // A value that is written again is no longer due.
        writes.push(put("old3", None));
        // One that was deleted leaves nothing behind.
        writes.push(Write::Delete { key: "old4".into() });
        tables.write(writes.iter(), true).unwrap();

        let freed: Vec<_> = (0..4).map(|_| tables.sweep(10).unwrap()).collect();
        assert_eq!(freed, [10, 10, 3, 0]);
        let list = List { prefix: "", after: None, limit: 100 };
        assert_eq!(tables.list(&list).unwrap().keys, ["lasting", "later", "old3"]);
        let read = tables.0.begin_read().unwrap();
        assert_eq!(read.open_table(EXPIRING).unwrap().range::<(u64, &str)>(..).unwrap().count(), 1);
        assert_eq!(read.open_table(ENTRIES).unwrap().range::<&str>(..).unwrap().count(), 3);
    }
}
