//! A bounded list of what happened, which readers follow and take up again where they stopped.

mod events;
mod logs;

pub(crate) use events::now_ms;
pub use events::{By, Event, EventKind, Events};
pub(crate) use logs::InTrace;
pub use logs::{LogEntry, Logs};

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How much a feed keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The most entries.
    pub(crate) entries: usize,
    /// The most bytes of all entries together, as [`weight`](Weighed::weight) says. The newest entry
    /// is kept whatever its size.
    pub(crate) bytes: usize,
}

/// An entry of a feed.
pub trait Weighed {
    /// Returns about how many bytes the entry takes.
    fn weight(&self) -> usize;
}

/// A bounded list of entries, numbered from 1 in the order in which they came.
///
/// Readers read from the list itself: nothing is kept for each of them, and a slow one holds
/// nobody up. An empty feed has allocated nothing.
pub struct Feed<T> {
    room: Room,
    kept: Mutex<Kept<T>>,
    came: Notify,
}

struct Kept<T> {
    /// The number of the next entry.
    next: u64,
    bytes: usize,
    entries: VecDeque<Arc<T>>,
}

impl<T> Kept<T> {
    /// Returns the number of the oldest entry that is kept.
    fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.entries.len() as u64)
    }
}

impl<T: Weighed> Feed<T> {
    pub(crate) fn new(room: Room) -> Self {
        let kept = Kept { next: 1, bytes: 0, entries: VecDeque::new() };
        Self { room, kept: Mutex::new(kept), came: Notify::new() }
    }

    /// Adds the entry that is made of its number.
    pub(crate) fn push(&self, entry: impl FnOnce(u64) -> T) {
        let mut guard = self.kept();
        let kept = &mut *guard;
        let entry = entry(kept.next);
        kept.next = kept.next.saturating_add(1);
        kept.bytes = kept.bytes.saturating_add(entry.weight());
        kept.entries.push_back(Arc::new(entry));
        while kept.entries.len() > self.room.entries
            || (kept.bytes > self.room.bytes && kept.entries.len() > 1)
        {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.weight());
        }
        drop(guard);
        self.came.notify_waiters();
    }
}

impl<T> Feed<T> {
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the newest entry; 0 if there was none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.kept().next.saturating_sub(1)
    }

    /// Begins to read after the entry with this number: 0 reads all that is kept, and
    /// [`last`](Self::last) only what comes from now on. A number that the feed has not reached,
    /// as after a restart, reads all that is kept.
    pub fn after(self: &Arc<Self>, number: u64) -> Reader<T> {
        let last = self.last();
        let next = if number > last { 1 } else { number.saturating_add(1) };
        Reader { feed: Arc::clone(self), next, skip: number > last || number == 0 }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("last", &self.last()).finish_non_exhaustive()
    }
}

/// Reads a feed.
#[derive(Debug)]
pub struct Reader<T> {
    feed: Arc<Feed<T>>,
    next: u64,
    /// Whether entries that are gone before the first read are no loss.
    skip: bool,
}

/// What a reader reads.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// An entry.
    Entry(Arc<T>),
    /// The reader was too slow: so many entries are gone.
    Missed(u64),
}

impl<T> Reader<T> {
    /// Returns what is next, if it is there.
    pub fn try_next(&mut self) -> Option<Read<T>> {
        let kept = self.feed.kept();
        let oldest = kept.oldest();
        if self.next < oldest {
            let missed = oldest.saturating_sub(self.next);
            self.next = oldest;
            if !std::mem::take(&mut self.skip) {
                return Some(Read::Missed(missed));
            }
        }
        let position = usize::try_from(self.next.saturating_sub(oldest)).ok()?;
        let entry = Arc::clone(kept.entries.get(position)?);
        self.next = self.next.saturating_add(1);
        self.skip = false;
        Some(Read::Entry(entry))
    }

    /// Waits for what is next.
    ///
    /// # Cancel safety
    /// A future that is dropped has read nothing.
    pub async fn next(&mut self) -> Read<T> {
        loop {
            let feed = Arc::clone(&self.feed);
            let mut came = std::pin::pin!(feed.came.notified());
            // Listens before it looks, so that nothing that comes in between is slept through.
            came.as_mut().enable();
            if let Some(read) = self.try_next() {
                return read;
            }
            came.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Line(u64, usize);

    impl Weighed for Line {
        fn weight(&self) -> usize {
            self.1
        }
    }

    fn feed(entries: usize, bytes: usize) -> Arc<Feed<Line>> {
        Arc::new(Feed::new(Room { entries, bytes }))
    }

    fn all(reader: &mut Reader<Line>) -> Vec<Read<Line>> {
        std::iter::from_fn(|| reader.try_next()).collect()
    }

    fn entries(numbers: impl IntoIterator<Item = u64>, size: usize) -> Vec<Read<Line>> {
        numbers.into_iter().map(|number| Read::Entry(Arc::new(Line(number, size)))).collect()
    }

    #[test]
    fn a_reader_takes_up_where_it_stopped_and_is_told_what_it_missed() {
        let feed = feed(3, 1000);
        (0..5).for_each(|_| feed.push(|number| Line(number, 1)));
        assert_eq!(feed.last(), 5);
        assert_eq!(all(&mut feed.after(0)), entries(3..=5, 1));
        assert_eq!(all(&mut feed.after(4)), entries([5], 1));
        assert_eq!(all(&mut feed.after(5)), []);
        let mut late = feed.after(1);
        assert_eq!(late.try_next(), Some(Read::Missed(1)));
        assert_eq!(all(&mut late), entries(3..=5, 1));
        // A number of the process before this one.
        assert_eq!(all(&mut feed.after(99)), entries(3..=5, 1));
        (0..4).for_each(|_| feed.push(|number| Line(number, 1)));
        assert_eq!(late.try_next(), Some(Read::Missed(1)));
        assert_eq!(all(&mut late), entries(7..=9, 1));
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_the_newest_is_kept_whatever_its_size() {
        let feed = feed(10, 100);
        (0..5).for_each(|_| feed.push(|number| Line(number, 40)));
        assert_eq!(all(&mut feed.after(0)), entries([4, 5], 40));
        feed.push(|number| Line(number, 5000));
        assert_eq!(all(&mut feed.after(0)), entries([6], 5000));
        feed.push(|number| Line(number, 1));
        assert_eq!(all(&mut feed.after(0)), entries([7], 1));
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_comes() {
        let feed = feed(10, 100);
        let mut reader = feed.after(0);
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        feed.push(|number| Line(number, 1));
        assert_eq!(waiting.await.unwrap(), Read::Entry(Arc::new(Line(1, 1))));
    }
}
