//! `fd_readdir`: the entries of a directory, some at a time.

use std::io;

use cap_std::fs::{Dir, ReadDir};

use super::{attributes, system};
use crate::abi::layout::FileType;
use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

/// The largest buffer of one `fd_readdir`, in bytes. A larger one is refused with `EINVAL`: filling
/// it could take long, and less than a full buffer means the end of the directory.
pub const MAX_LISTED: u32 = 256 << 10;

/// The most entries that one `fd_readdir` skips to find the one that it begins with. A guest that
/// reads a directory from its beginning to its end skips none. More are refused with `EINVAL`.
pub const MAX_SKIPPED: u64 = 16 << 10;

/// The size of an entry without its name, in bytes.
const HEAD: usize = 24;

/// How far a directory is listed.
pub(super) struct Listing {
    /// The number of entries before the next one; `.` and `..` are the first two.
    next: u64,
    /// The rest of the directory. `None` at its end.
    rest: Option<ReadDir>,
    /// The inode of the directory.
    inode: u64,
    /// The next entry, if the guest's buffer had no room for all of it.
    kept: Option<Named>,
}

/// An entry.
struct Named {
    name: String,
    inode: u64,
    file_type: FileType,
}

impl Listing {
    fn new(dir: &Dir) -> io::Result<Self> {
        let (_, inode, _) = system::identity(&dir.dir_metadata()?);
        Ok(Self { next: 0, rest: Some(dir.entries()?), inode, kept: None })
    }

    /// Moves to the entry of a number, or to the end of the directory.
    fn skip_to(&mut self, cookie: u64) -> Result<(), Failure> {
        for _ in 0..=MAX_SKIPPED {
            if self.next == cookie {
                return Ok(());
            }
            if self.take()?.is_none() {
                return Ok(());
            }
        }
        Err(Errno::Inval.into())
    }

    fn take(&mut self) -> io::Result<Option<Named>> {
        let named = match (self.kept.take(), self.next) {
            (Some(kept), _) => Some(kept),
            (None, 0) => Some(self.own(".")),
            // Its inode would be that of a directory that the guest was not granted.
            (None, 1) => Some(self.own("..")),
            (None, _) => self.read()?,
        };
        self.next = self.next.saturating_add(u64::from(named.is_some()));
        Ok(named)
    }

    fn own(&self, name: &str) -> Named {
        Named { name: name.to_owned(), inode: self.inode, file_type: FileType::Directory }
    }

    /// Takes the next entry from the system. One whose name is not UTF-8 is left out: no path of a
    /// guest could name it.
    fn read(&mut self) -> io::Result<Option<Named>> {
        let mut left_out = 0_u64;
        while let Some(rest) = &mut self.rest {
            let Some(entry) = rest.next().transpose()? else {
                self.rest = None;
                break;
            };
            if let Ok(name) = entry.file_name().into_string() {
                let file_type =
                    entry.file_type().map_or(FileType::Unknown, |kind| attributes::file_type(&kind));
                return Ok(Some(Named { name, inode: system::inode(&entry), file_type }));
            }
            // Nothing looks at the deadline here.
            left_out = left_out.saturating_add(1);
            if left_out > MAX_SKIPPED {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(None)
    }

    /// Puts an entry back that did not fit.
    fn keep(&mut self, named: Named) {
        self.kept = Some(named);
        self.next = self.next.saturating_sub(1);
    }
}

impl Named {
    /// Writes as much of the entry as fits, and returns how much that was.
    fn store(&self, next: u64, buffer: &mut [u8]) -> usize {
        let length = u32::try_from(self.name.len()).unwrap_or(u32::MAX).to_le_bytes();
        let head =
            [&next.to_le_bytes()[..], &self.inode.to_le_bytes(), &length, &[self.file_type.code(), 0, 0, 0]];
        let bytes = head.into_iter().flatten().copied().chain(self.name.bytes());
        buffer.iter_mut().zip(bytes).map(|(to, from)| *to = from).count()
    }

    fn size(&self) -> usize {
        HEAD.saturating_add(self.name.len())
    }
}

impl Call<'_> {
    /// Lists a directory from the entry of a number on, and writes how many bytes that took. The
    /// last entry may be cut short; less than a full buffer means the end of the directory. `.` and
    /// `..` come first.
    ///
    /// `EBADF` for a descriptor that is no directory, `EINVAL` for a buffer larger than
    /// [`MAX_LISTED`](crate::MAX_LISTED) and for an entry that is too far from where the last list
    /// ended ([`MAX_SKIPPED`](crate::MAX_SKIPPED)).
    pub fn fd_readdir(
        &mut self,
        fd: i32,
        buffer: i32,
        length: i32,
        cookie: i64,
        used: i32,
    ) -> Result<i32, Stop> {
        settle("fd_readdir", self.list(fd, (buffer, length), cookie.cast_unsigned(), wide(used)))
    }

    fn list(&mut self, fd: i32, (buffer, length): (i32, i32), cookie: u64, used: u64) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let directory = dirs.directory_mut(fd)?;
        memory::view(guest, used, 4)?;
        let buffer = memory::span(guest, wide(buffer), wide(length))?;
        if length.cast_unsigned() > MAX_LISTED {
            return Err(Errno::Inval.into());
        }
        let goes_on = directory.listing.as_ref().is_some_and(|at| cookie != 0 && at.next <= cookie);
        if !goes_on {
            directory.listing = None;
            dirs.make_room_for_listing();
        }
        let directory = dirs.directory_mut(fd)?;
        let mut listing = match directory.listing.take() {
            // At the beginning it is read again, as a C library's `rewinddir` promises.
            Some(listing) => listing,
            None => Box::new(Listing::new(&directory.dir)?),
        };
        listing.skip_to(cookie)?;
        let mut rest = buffer;
        let mut stored = 0_usize;
        while !rest.is_empty() {
            let Some(named) = listing.take()? else { break };
            let written = named.store(listing.next, rest);
            stored = stored.saturating_add(written);
            rest = rest.get_mut(written..).unwrap_or_default();
            if written < named.size() {
                listing.keep(named);
            }
        }
        directory.listing = Some(listing);
        Ok(memory::store_u32(guest, used, u32::try_from(stored).unwrap_or(u32::MAX))?)
    }
}
