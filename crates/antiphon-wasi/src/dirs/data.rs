//! What is in a file: reading, writing, seeking, its size.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read as _, Seek as _, SeekFrom, Write as _};

use super::path_open::fdflags;
use super::table::{Entry, OpenFile};
use super::{path_open, system};
use crate::abi::memory::{self, wide};
use crate::abi::{Abi, Errno, Failure, Stop, Vectors, settle};
use crate::call::Call;

/// The most bytes that one read or write of a file moves. A guest that asks for more gets a short
/// count, so that no call takes longer than a look at its deadline allows.
pub const MAX_TRANSFER: u32 = 4 << 20;

impl OpenFile {
    fn read(&mut self, buffer: &mut [u8], at: Option<u64>) -> io::Result<usize> {
        loop {
            let read = match at {
                None => self.file.read(buffer),
                Some(offset) => system::read_at(&self.file, buffer, offset),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Returns how many of these bytes may be written. `EFBIG` if none may.
    fn room(&mut self, wanted: u32, at: Option<u64>) -> Result<u32, Failure> {
        let Some(largest) = system::largest_file() else { return Ok(wanted) };
        let start = if self.flags & fdflags::APPEND != 0 {
            self.file.metadata()?.len()
        } else {
            at.map_or_else(|| self.file.stream_position(), Ok)?
        };
        match largest.saturating_sub(start) {
            0 if wanted > 0 => Err(Errno::Fbig.into()),
            room => Ok(u32::try_from(room).map_or(wanted, |room| room.min(wanted))),
        }
    }

    /// Writes buffers in order, and returns how many bytes it were.
    fn write(&mut self, buffers: &[IoSlice<'_>], at: Option<u64>) -> io::Result<usize> {
        let Some(mut offset) = at else { return self.file.write_vectored(buffers) };
        let mut written = 0_usize;
        for buffer in buffers {
            match system::write_at(&self.file, buffer, offset) {
                Ok(count) => {
                    written = written.saturating_add(count);
                    offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

/// Returns a number of bytes that [`MAX_TRANSFER`] bounds.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Call<'_> {
    /// Reads from a file into buffers, at its own offset or at another one.
    pub(crate) fn read_file(
        &mut self,
        fd: i32,
        (buffers, count): (i32, i32),
        at: Option<i64>,
        read: i32,
    ) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let file = dirs.file(fd)?;
        // A list of its own, because the guest may read into the list.
        let buffers = Vectors::check(guest, buffers, count)?.spans(guest)?;
        memory::view(guest, wide(read), 4)?;
        if !file.readable {
            return Err(Errno::Badf.into());
        }
        let mut at = at.map(i64::cast_unsigned);
        let mut total = 0_u32;
        for (pointer, length) in buffers {
            let length = length.min(MAX_TRANSFER.saturating_sub(total));
            if length == 0 {
                continue;
            }
            let buffer = memory::span(guest, pointer, u64::from(length))?;
            let count = match file.read(buffer, at) {
                Ok(count) => narrow(count),
                Err(_) if total > 0 => break,
                Err(error) => return Err(error.into()),
            };
            total = total.saturating_add(count);
            at = at.map(|offset| offset.saturating_add(u64::from(count)));
            if count < length {
                break;
            }
        }
        Ok(memory::store_u32(guest, wide(read), total)?)
    }

    /// Writes buffers to a file, at its own offset or at another one.
    pub(crate) fn write_file(
        &mut self,
        fd: i32,
        (buffers, count): (i32, i32),
        at: Option<i64>,
        written: i32,
    ) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let file = dirs.file(fd)?;
        let vectors = Vectors::check(guest, buffers, count)?;
        memory::view(guest, wide(written), 4)?;
        if !file.writable {
            return Err(Errno::Badf.into());
        }
        let at = at.map(i64::cast_unsigned);
        let mut room = file.room(vectors.total().min(MAX_TRANSFER), at)?;
        let mut slices = Vec::new();
        for buffer in vectors.buffers(guest) {
            let buffer = buffer?;
            let (now, _) = buffer.split_at(buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            room = room.saturating_sub(narrow(now.len()));
            if !now.is_empty() {
                slices.push(IoSlice::new(now));
            }
        }
        let count = loop {
            match if slices.is_empty() { Ok(0) } else { file.write(&slices, at) } {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                count => break narrow(count?),
            }
        };
        Ok(memory::store_u32(guest, wide(written), count)?)
    }

    /// Moves the offset of a file.
    pub(crate) fn seek_file(
        &mut self,
        fd: i32,
        offset: i64,
        whence: i32,
        position: i32,
    ) -> Result<(), Failure> {
        let abi = self.abi;
        let (dirs, guest) = self.split()?;
        let file = dirs.file(fd)?;
        memory::view(guest, wide(position), 8)?;
        let start = || u64::try_from(offset).map(SeekFrom::Start).map_err(|_| Errno::Inval);
        let to = match (abi, whence) {
            (Abi::Preview1, 0) | (Abi::Preview0, 2) => start()?,
            (Abi::Preview1, 1) | (Abi::Preview0, 0) => SeekFrom::Current(offset),
            (Abi::Preview1, 2) | (Abi::Preview0, 1) => SeekFrom::End(offset),
            _ => return Err(Errno::Inval.into()),
        };
        Ok(memory::store_u64(guest, wide(position), file.file.seek(to)?)?)
    }

    /// Writes the offset of a file.
    pub(crate) fn tell_file(&mut self, fd: i32, position: i32) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let file = dirs.file(fd)?;
        memory::view(guest, wide(position), 8)?;
        Ok(memory::store_u64(guest, wide(position), file.file.stream_position()?)?)
    }

    /// Advises on how a file will be read. The advice is checked, and has no effect: reading ahead
    /// could take as long as the file is large. `EBADF` for a descriptor that is no file.
    pub fn fd_advise(&mut self, fd: i32, _offset: i64, _length: i64, advice: i32) -> Result<i32, Stop> {
        let outcome = self.a_file(fd).and_then(|_| match advice {
            0..=5 => Ok(()),
            _ => Err(Errno::Inval.into()),
        });
        settle("fd_advise", outcome)
    }

    /// Makes room in a file: `ENOTSUP`, or `EBADF` for a descriptor that is no file.
    pub fn fd_allocate(&mut self, fd: i32, _offset: i64, _length: i64) -> Result<i32, Stop> {
        settle("fd_allocate", self.a_file(fd).and_then(|_| Err(Errno::Notsup.into())))
    }

    /// Writes the data of a file or a directory to its medium. `EBADF` for any other descriptor.
    pub fn fd_datasync(&mut self, fd: i32) -> Result<i32, Stop> {
        settle("fd_datasync", self.sync(fd, File::sync_data))
    }

    /// Writes data and attributes of a file or a directory to its medium. `EBADF` for any other
    /// descriptor.
    pub fn fd_sync(&mut self, fd: i32) -> Result<i32, Stop> {
        settle("fd_sync", self.sync(fd, File::sync_all))
    }

    /// Sets the size of a file. `EPERM` where the guest may only read, `EINVAL` for a file that was
    /// not opened for writing, `EBADF` for any other descriptor.
    pub fn fd_filestat_set_size(&mut self, fd: i32, size: i64) -> Result<i32, Stop> {
        settle("fd_filestat_set_size", self.set_size(fd, size.cast_unsigned()))
    }

    /// Sets the flags of a file: appending takes effect, and not blocking is kept. `EINVAL` for
    /// another change, `EBADF` for a descriptor that is no file.
    pub fn fd_fdstat_set_flags(&mut self, fd: i32, flags: i32) -> Result<i32, Stop> {
        settle("fd_fdstat_set_flags", self.set_flags(fd, flags))
    }

    fn a_file(&mut self, fd: i32) -> Result<&mut OpenFile, Failure> {
        Ok(self.split()?.0.file(fd)?)
    }

    fn sync(&mut self, fd: i32, sync: fn(&File) -> io::Result<()>) -> Result<(), Failure> {
        match self.split()?.0.any(fd)? {
            Entry::File(file) => Ok(sync(&file.file)?),
            // The descriptor itself may be good only for finding things in it.
            Entry::Directory(directory) => {
                Ok(sync(&path_open::open_attributes(&directory.dir, ".".as_ref())?)?)
            }
            Entry::Stream(_) => Err(Errno::Badf.into()),
        }
    }

    fn set_size(&mut self, fd: i32, size: u64) -> Result<(), Failure> {
        let file = self.a_file(fd)?;
        file.access.for_writing()?;
        if !file.writable {
            return Err(Errno::Inval.into());
        }
        if system::largest_file().is_some_and(|largest| size > largest) {
            return Err(Errno::Fbig.into());
        }
        Ok(file.file.set_len(size)?)
    }

    fn set_flags(&mut self, fd: i32, flags: i32) -> Result<(), Failure> {
        let file = self.a_file(fd)?;
        let flags = fdflags::of(flags)?;
        let changed = flags ^ file.flags;
        if changed & (fdflags::DSYNC | fdflags::RSYNC | fdflags::SYNC) != 0 {
            return Err(Errno::Inval.into());
        }
        if changed & fdflags::APPEND != 0 {
            system::set_append(&file.file, flags & fdflags::APPEND != 0)?;
        }
        file.flags = flags;
        Ok(())
    }
}
