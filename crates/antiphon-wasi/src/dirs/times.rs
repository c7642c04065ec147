//! The times of files, in nanoseconds since the Unix epoch.

use std::fs::{File, FileTimes};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt as _, SystemTimeSpec};
use cap_std::fs::Dir;

use super::errors::errno;
use super::path::{Text, follows};
use super::path_open::open_attributes;
use super::table::Entry;
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

/// Converts a time of the system. What is before 1970 or after 2554 becomes the nearest time that a
/// guest can be told.
pub(super) fn of_system(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Converts seconds and nanoseconds as [`of_system`] converts a time.
pub(super) fn since_epoch(seconds: i64, nanoseconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::try_from(nanoseconds).unwrap_or(0))
}

/// The times that a guest sets. `None` keeps what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    accessed: Option<SystemTime>,
    modified: Option<SystemTime>,
}

impl Times {
    /// Reads times with their `fstflags`: `EINVAL` for unknown ones, and for a time that is both
    /// given and now.
    fn new(accessed: i64, modified: i64, flags: i32) -> Result<Self, Errno> {
        if flags & !15 != 0 {
            return Err(Errno::Inval);
        }
        let now = SystemTime::now();
        let time = |given: i64, flags: i32| match flags & 3 {
            0 => Ok(None),
            1 => {
                let since = Duration::from_nanos(given.cast_unsigned());
                SystemTime::UNIX_EPOCH.checked_add(since).map(Some).ok_or(Errno::Inval)
            }
            2 => Ok(Some(now)),
            _ => Err(Errno::Inval),
        };
        Ok(Self { accessed: time(accessed, flags)?, modified: time(modified, flags >> 2)? })
    }

    fn set(self, file: &File) -> io::Result<()> {
        let mut times = FileTimes::new();
        if let Some(accessed) = self.accessed {
            times = times.set_accessed(accessed);
        }
        if let Some(modified) = self.modified {
            times = times.set_modified(modified);
        }
        file.set_times(times)
    }

    /// Sets the times of what a path names. If that is a symbolic link, they are the link's own.
    fn set_at(self, dir: &Dir, path: &Path) -> io::Result<()> {
        let spec = |time: SystemTime| SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time));
        dir.set_symlink_times(path, self.accessed.map(spec), self.modified.map(spec))
    }

    /// Sets the times of what a path leads to, if that is a regular file or a directory. (The
    /// sandbox has a function for this, which waits for the other end of a pipe.)
    fn set_through(self, dir: &Dir, path: &Path) -> io::Result<()> {
        match open_attributes(dir, path) {
            Ok(file) => self.set(&file),
            // Its owner may set the times of a file that cannot be read.
            Err(error) if errno(&error) == Errno::Acces && !dir.symlink_metadata(path)?.is_symlink() => {
                self.set_at(dir, path)
            }
            Err(error) => Err(error),
        }
    }
}

impl Call<'_> {
    /// Sets the times of a file or a directory. `EPERM` where the guest may only read, `EBADF` for
    /// any other descriptor.
    pub fn fd_filestat_set_times(
        &mut self,
        fd: i32,
        access: i64,
        modification: i64,
        flags: i32,
    ) -> Result<i32, Stop> {
        settle("fd_filestat_set_times", self.set_times(fd, (access, modification, flags)))
    }

    /// Sets the times of what a path names. `EPERM` where the guest may only read, and for a path
    /// that leads out of the directory; `EBADF` for a descriptor that is no directory.
    #[expect(clippy::too_many_arguments, reason = "the signature is the interface's")]
    pub fn path_filestat_set_times(
        &mut self,
        fd: i32,
        flags: i32,
        path: i32,
        length: i32,
        access: i64,
        modification: i64,
        which: i32,
    ) -> Result<i32, Stop> {
        let times = (access, modification, which);
        settle("path_filestat_set_times", self.set_times_of_path(fd, flags, Text(path, length), times))
    }

    fn set_times(&mut self, fd: i32, (accessed, modified, flags): (i64, i64, i32)) -> Result<(), Failure> {
        let entry = self.split()?.0.any(fd)?;
        match entry {
            Entry::File(file) => file.access.for_writing()?,
            Entry::Directory(directory) => directory.access.for_writing()?,
            Entry::Stream(_) => return Err(Errno::Badf.into()),
        }
        let times = Times::new(accessed, modified, flags)?;
        match entry {
            Entry::File(file) => Ok(times.set(&file.file)?),
            Entry::Directory(directory) => Ok(times.set_through(&directory.dir, ".".as_ref())?),
            Entry::Stream(_) => Err(Errno::Badf.into()),
        }
    }

    fn set_times_of_path(
        &mut self,
        fd: i32,
        lookup: i32,
        path: Text,
        (accessed, modified, flags): (i64, i64, i32),
    ) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let dir = dirs.writable(fd)?;
        let path = path.read(guest)?;
        let times = Times::new(accessed, modified, flags)?;
        let set = if follows(lookup)? { Times::set_through } else { Times::set_at };
        Ok(set(times, dir, path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_or_now_or_kept() {
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let times = Times::new(1_000_000_000, 5, 1).expect("given, kept");
        assert_eq!(times, Times { accessed: Some(second), modified: None });
        let times = Times::new(0, 1_000_000_000, 2 | 4).expect("now, given");
        assert!(times.accessed.expect("now") > second);
        assert_eq!(times.modified, Some(second));
        for flags in [3, 12, 16, -1] {
            assert_eq!(Times::new(0, 0, flags), Err(Errno::Inval), "{flags}");
        }
    }

    #[test]
    fn times_that_no_guest_can_be_told_become_the_nearest() {
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!((of_system(early), of_system(late)), (0, u64::MAX));
        assert_eq!((since_epoch(-1, 5), since_epoch(1, 5)), (5, 1_000_000_005));
        assert_eq!(since_epoch(i64::MAX, 0), u64::MAX);
    }
}
