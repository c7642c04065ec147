//! The threads that a store reads and writes on.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::tables::{Tables, Write};
use crate::keyvalue::{Durability, Entry, List, Page, StoreError};

/// Requests that wait for a thread, of each kind. More are refused.
const WAITING: usize = 1024;
/// The most writes in one commit, so that the first one does not wait for a crowd.
const TOGETHER: usize = 256;
const READERS: usize = 2;
/// After this time at most, eventual writes are on disk.
const FLUSH: Duration = Duration::from_secs(1);
/// How often expired values are looked for, and how many are freed before others get their turn.
const SWEEP: Duration = Duration::from_secs(1);
const SWEPT: usize = 256;

/// Where the answer of a request goes.
pub(super) type Told<R> = oneshot::Sender<Result<R, StoreError>>;

/// A request to the store.
pub(super) enum Job {
    Get(String, Told<Option<Entry>>),
    List { prefix: String, after: Option<String>, limit: u32, told: Told<Page> },
    Write(Write, Durability, Told<u64>),
}

type Change = (Write, Durability, Told<u64>);

/// The threads of a store, which end with it.
pub(super) struct Threads {
    writes: Option<SyncSender<Change>>,
    reads: Option<SyncSender<Job>>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(tables: Tables) -> io::Result<Self> {
        let tables = Arc::new(tables);
        let (writes, to_write) = sync_channel(WAITING);
        let (reads, to_read) = sync_channel(WAITING);
        // Made first: if a thread cannot be started, dropping this ends the others.
        let mut threads = Self { writes: Some(writes), reads: Some(reads), running: Vec::new() };
        let writer = Writer { tables: Arc::clone(&tables), unflushed: None, next_sweep: Instant::now() };
        threads.run("antiphon-kv-write", move || writer.run(&to_write))?;
        let to_read = Arc::new(Mutex::new(to_read));
        for _ in 0..READERS {
            let (tables, to_read) = (Arc::clone(&tables), Arc::clone(&to_read));
            threads.run("antiphon-kv-read", move || read(&tables, &to_read))?;
        }
        Ok(threads)
    }

    fn run(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.running.push(thread::Builder::new().name(name.into()).spawn(work)?);
        Ok(())
    }

    /// Hands a request to a thread, without waiting.
    pub(super) fn give(&self, job: Job) -> Result<(), StoreError> {
        let given = match job {
            Job::Write(write, durability, told) => give(self.writes.as_ref(), (write, durability, told)),
            read => give(self.reads.as_ref(), read),
        };
        given.map_err(|text| StoreError::Unavailable(text.into()))
    }
}

fn give<T>(to: Option<&SyncSender<T>>, job: T) -> Result<(), &'static str> {
    match to.map(|to| to.try_send(job)) {
        Some(Ok(())) => Ok(()),
        Some(Err(TrySendError::Full(_))) => Err("too many requests wait for the store; try again later"),
        Some(Err(TrySendError::Disconnected(_))) | None => Err("the store has failed"),
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.writes = None;
        self.reads = None;
        for thread in self.running.drain(..) {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Says in the host's log what happened; a guest gets no more than that it did.
#[cold]
fn unavailable(what: &str, error: &redb::Error) -> StoreError {
    tracing::error!(%error, "the key-value store cannot {what}");
    StoreError::Unavailable("the store has failed; the log of the host says why".into())
}

fn read(tables: &Tables, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A file that was damaged may make redb panic. The next request has its own chance.
        let answered = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Get(key, told) => {
                _ = told.send(tables.get(&key).map_err(|error| unavailable("read a value", &error)));
            }
            Job::List { prefix, after, limit, told } => {
                let list = List { prefix: &prefix, after: after.as_deref(), limit };
                _ = told.send(tables.list(&list).map_err(|error| unavailable("list keys", &error)));
            }
            Job::Write(..) => unreachable!("writes go to the writer"),
        }));
        if answered.is_err() {
            tracing::error!("a read of the key-value store panicked");
        }
    }
}

/// The only thread that writes.
struct Writer {
    tables: Arc<Tables>,
    /// When the first write came that is not on disk.
    unflushed: Option<Instant>,
    next_sweep: Instant,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Change>) {
        loop {
            let rest = match self.unflushed {
                Some(since) => (since + FLUSH).min(self.next_sweep),
                None => self.next_sweep,
            };
            match jobs.recv_timeout(rest.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    self.commit(std::iter::once(first).chain(jobs.try_iter()).take(TOGETHER).collect())
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.keep_house();
        }
        if self.unflushed.is_some() {
            self.flush();
        }
    }

    /// Writes all that came while the last commit waited for the disk.
    fn commit(&mut self, jobs: Vec<Change>) {
        let durable = jobs.iter().any(|(_, durability, _)| *durability == Durability::Immediate);
        let writes = jobs.iter().map(|(write, ..)| write);
        match catch_unwind(AssertUnwindSafe(|| self.tables.write(writes, durable))) {
            Ok(Ok(answers)) => {
                self.unflushed = if durable { None } else { self.unflushed.or_else(|| Some(Instant::now())) };
                for ((.., told), answer) in jobs.into_iter().zip(answers) {
                    let _ = told.send(answer);
                }
            }
            Ok(Err(error)) => {
                let text = unavailable("write", &error).to_string();
                for (.., told) in jobs {
                    let _ = told.send(Err(StoreError::Unavailable(text.clone())));
                }
            }
            // Their callers learn it, because nothing answers them any more.
            Err(_) => tracing::error!("a write of the key-value store panicked"),
        }
    }

    fn keep_house(&mut self) {
        let now = Instant::now();
        if self.unflushed.is_some_and(|since| now >= since + FLUSH) {
            self.flush();
        }
        if now >= self.next_sweep {
            let swept = catch_unwind(AssertUnwindSafe(|| self.tables.sweep(SWEPT)));
            self.next_sweep = now + SWEEP;
            match swept {
                Ok(Ok(0)) => {}
                Ok(Ok(freed)) => {
                    self.unflushed.get_or_insert(now);
                    // More may be due; waiting writes come first.
                    if freed == SWEPT {
                        self.next_sweep = now;
                    }
                }
                Ok(Err(error)) => _ = unavailable("free expired values", &error),
                Err(_) => tracing::error!("a sweep of the key-value store panicked"),
            }
        }
    }

    fn flush(&mut self) {
        self.unflushed = None;
        match catch_unwind(AssertUnwindSafe(|| self.tables.flush())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => _ = unavailable("flush", &error),
            Err(_) => tracing::error!("a flush of the key-value store panicked"),
        }
    }
}
