//! A store in one file, embedded in the program.
//!
//! A durable commit waits for the disk, 4 to 8 ms. So one thread writes, and commits at once what
//! came while it waited; the more writers, the more writes a commit. Threads of the store read,
//! because a page may have to come from the disk. No thread of the program's executor ever waits
//! for a file.

mod tables;
mod threads;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use antiphon::async_trait;
use tokio::sync::oneshot;

use super::{Durability, Entry, List, Page, Put, Store, StoreError};
use tables::{Tables, Write};
use threads::{Job, Threads, Told};

/// A store in one file. A clone shares it.
///
/// The last clone that is dropped writes what is not on disk yet, closes the file, and blocks for
/// it, some milliseconds. After the disk failed or was full, every use may be refused until the
/// store is opened again; the log says why.
///
/// ```
/// use antiphon_capabilities::{Put, RedbStore, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { antiphon::block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("store.redb");
/// let store = RedbStore::open(&path)?;
/// let revision = store.put(Put::new("greeting", "hello")).await?;
/// store.put(Put::new("greeting", "good morning").if_revision(revision)).await?;
/// drop(store);
/// assert_eq!(RedbStore::open(&path)?.get("greeting").await?.unwrap().value, "good morning");
/// # Ok(())
/// # }) }
/// ```
#[derive(Clone)]
pub struct RedbStore(Arc<Threads>);

/// Why a file cannot be used as a store.
#[derive(Debug)]
pub struct RedbError(Box<redb::Error>);

impl fmt::Display for RedbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            redb::Error::DatabaseAlreadyOpen => {
                f.write_str("the file is open already: one process at a time has a store, and opens it once")
            }
            other => write!(f, "the file cannot be used as a store: {other}"),
        }
    }
}

impl std::error::Error for RedbError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl<E: Into<redb::Error>> From<E> for RedbError {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

impl RedbStore {
    /// How much of the file is kept in memory, in bytes.
    const CACHE: usize = 16 << 20;

    /// Opens a store, and creates its file if it is not there. It blocks, after a crash for as long
    /// as the file has to be repaired.
    ///
    /// # Errors
    /// The file cannot be created or read, is no store, or is open already.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RedbError> {
        let database = redb::Builder::new().set_cache_size(Self::CACHE).create(path)?;
        let threads = Threads::start(Tables::of(database)?);
        Ok(Self(Arc::new(threads.map_err(redb::Error::Io)?)))
    }

    async fn ask<R>(&self, job: impl FnOnce(Told<R>) -> Job) -> Result<R, StoreError> {
        let (tell, told) = oneshot::channel();
        self.0.give(job(tell))?;
        told.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has failed".into())))
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.ask(|told| Job::Get(key, told)).await
    }

    async fn put(&self, put: Put<'_>) -> Result<u64, StoreError> {
        let write = Write::Put {
            key: put.key.to_owned(),
            value: put.value,
            revision: put.revision,
            expires: put.expires_in.map(expiry),
        };
        self.ask(|told| Job::Write(write, put.durability, told)).await
    }

    async fn delete(&self, key: &str, durability: Durability) -> Result<(), StoreError> {
        let write = Write::Delete { key: key.to_owned() };
        self.ask(|told| Job::Write(write, durability, told)).await.map(|_| ())
    }

    async fn list(&self, list: List<'_>) -> Result<Page, StoreError> {
        let (prefix, after) = (list.prefix.to_owned(), list.after.map(str::to_owned));
        self.ask(|told| Job::List { prefix, after, limit: list.limit, told }).await
    }
}

/// Returns the time of expiry. A time that no clock reaches is the last one.
fn expiry(time: Duration) -> u64 {
    now().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Returns the time in milliseconds since 1970. An expiry has to hold across restarts, so it cannot
/// be counted by a clock that does not.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}
