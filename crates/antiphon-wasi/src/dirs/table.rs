//! The descriptors of a guest with directories.

use std::fmt;
use std::fs::File;

use cap_std::fs::Dir;

use super::Access;
use super::listing::Listing;
use crate::abi::Errno;
use crate::stdio::{Descriptor, Descriptors};

/// The largest number of files and directories that a guest may have open beside the standard
/// streams and the directories that it was granted. One more is refused with `EMFILE`.
pub const MAX_DESCRIPTORS: usize = 256;

/// The most directories of a guest that are being listed at once.
const MAX_LISTINGS: usize = 8;

/// What an open descriptor stands for. Standard streams at their own numbers are not here: see
/// [`Descriptors`].
pub(super) enum Entry {
    /// A standard stream that was moved here.
    Stream(Descriptor),
    File(OpenFile),
    Directory(Directory),
}

/// A regular file.
pub(super) struct OpenFile {
    pub(super) file: File,
    /// The flags that the guest is told, as `fdflags`.
    pub(super) flags: u16,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// What may be done in the directory that it was opened in.
    pub(super) access: Access,
}

/// A directory.
pub(super) struct Directory {
    pub(super) dir: Dir,
    pub(super) access: Access,
    /// The path that the guest knows it by, if it is preopened.
    pub(super) name: Option<String>,
    /// How far it is listed. Boxed, because few directories are.
    pub(super) listing: Option<Box<Listing>>,
}

impl Directory {
    pub(super) fn new(dir: Dir, access: Access) -> Self {
        Self { dir, access, name: None, listing: None }
    }
}

/// The descriptors that are no standard streams at their own numbers.
#[derive(Default)]
pub(crate) struct Directories {
    entries: Vec<Option<Entry>>,
    granted: usize,
}

/// The number of standard streams, and so of the first descriptor that can be another thing.
const STREAMS: usize = 3;

impl Directories {
    /// Adds a preopened directory, at the end.
    pub(super) fn grant(&mut self, entry: Entry) {
        while self.entries.len() < STREAMS {
            self.entries.push(None);
        }
        self.entries.push(Some(entry));
        self.granted = self.granted.saturating_add(1);
    }

    /// Forgets how far directories are listed, if [`MAX_LISTINGS`] are. Each has two open files of
    /// the process. A guest that goes on with one has its directory read again up to there.
    pub(super) fn make_room_for_listing(&mut self) {
        let is_listed =
            |entry: &&Entry| matches!(entry, Entry::Directory(directory) if directory.listing.is_some());
        if self.entries.iter().flatten().filter(is_listed).count() < MAX_LISTINGS {
            return;
        }
        for entry in self.entries.iter_mut().flatten() {
            if let Entry::Directory(directory) = entry {
                directory.listing = None;
            }
        }
    }

    fn entry(&self, fd: i32) -> Option<&Entry> {
        self.entries.get(usize::try_from(fd).ok()?)?.as_ref()
    }

    /// Returns whether a number is open here.
    pub(crate) fn is_open(&self, fd: i32) -> bool {
        self.entry(fd).is_some()
    }

    /// Returns the standard stream that was moved to a number.
    pub(crate) fn stream(&self, fd: i32) -> Option<Descriptor> {
        match self.entry(fd)? {
            Entry::Stream(stream) => Some(*stream),
            Entry::File(_) | Entry::Directory(_) => None,
        }
    }

    /// Returns a file, or `EBADF`.
    pub(super) fn file(&mut self, fd: i32) -> Result<&mut OpenFile, Errno> {
        match self.any(fd)? {
            Entry::File(file) => Ok(file),
            Entry::Stream(_) | Entry::Directory(_) => Err(Errno::Badf),
        }
    }

    /// Returns whether a number is a file, which is always ready to be read and written.
    pub(crate) fn is_file(&self, fd: i32) -> bool {
        matches!(self.entry(fd), Some(Entry::File(_)))
    }

    /// Returns a directory, or `EBADF`.
    pub(super) fn directory(&self, fd: i32) -> Result<&Directory, Errno> {
        match self.entry(fd) {
            Some(Entry::Directory(directory)) => Ok(directory),
            _ => Err(Errno::Badf),
        }
    }

    /// Returns a directory, to change how far it is listed.
    pub(super) fn directory_mut(&mut self, fd: i32) -> Result<&mut Directory, Errno> {
        match self.any(fd)? {
            Entry::Directory(directory) => Ok(directory),
            Entry::Stream(_) | Entry::File(_) => Err(Errno::Badf),
        }
    }

    /// Returns a directory in which the guest may change something, or `EPERM`.
    pub(super) fn writable(&self, fd: i32) -> Result<&Dir, Errno> {
        let directory = self.directory(fd)?;
        directory.access.for_writing()?;
        Ok(&directory.dir)
    }

    /// Returns what a number stands for here, or `EBADF`.
    pub(super) fn any(&mut self, fd: i32) -> Result<&mut Entry, Errno> {
        let slot = usize::try_from(fd).ok().and_then(|fd| self.entries.get_mut(fd));
        slot.and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// Returns the lowest number that is free, or `EMFILE`.
    pub(super) fn free(&self, streams: &Descriptors) -> Result<usize, Errno> {
        let taken = |number: &usize| {
            self.entries.get(*number).is_some_and(Option::is_some)
                || i32::try_from(*number).is_ok_and(|fd| streams.get(fd).is_ok())
        };
        let limit = STREAMS.saturating_add(self.granted).saturating_add(MAX_DESCRIPTORS);
        (0..limit).find(|number| !taken(number)).ok_or(Errno::Mfile)
    }

    /// Gives a free number to a file or directory.
    pub(super) fn put(&mut self, number: usize, entry: Entry) {
        while self.entries.len() <= number {
            self.entries.push(None);
        }
        if let Some(slot) = self.entries.get_mut(number) {
            *slot = Some(entry);
        }
    }

    fn take(&mut self, fd: i32) -> Option<Entry> {
        self.entries.get_mut(usize::try_from(fd).ok()?)?.take()
    }

    /// Closes a descriptor, or returns `EBADF` if it is not open here.
    pub(crate) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        self.take(fd).map(drop).ok_or(Errno::Badf)
    }

    /// Moves `from` onto `to`. Both have to be open, here or as a standard stream.
    pub(crate) fn renumber(&mut self, streams: &mut Descriptors, from: i32, to: i32) -> Result<(), Errno> {
        let open = |fd| self.is_open(fd) || streams.get(fd).is_ok();
        if !open(from) || !open(to) {
            return Err(Errno::Badf);
        }
        if from == to {
            return Ok(());
        }
        let moved = match streams.get(from) {
            Ok(stream) => {
                streams.close(from)?;
                Entry::Stream(stream)
            }
            Err(errno) => self.take(from).ok_or(errno)?,
        };
        drop(self.take(to));
        // What was a standard stream at its own number is replaced, whatever takes its place.
        let _ = streams.close(to);
        match usize::try_from(to) {
            Ok(number) => self.put(number, moved),
            Err(_) => unreachable!("an open descriptor is not negative"),
        }
        Ok(())
    }
}

impl fmt::Debug for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.entries.iter().filter(|entry| entry.is_some()).count();
        f.debug_struct("Directories").field("granted", &self.granted).field("open", &open).finish()
    }
}
