//! `path_open`: files and directories get descriptors.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_fs_ext::{
    FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsMaybeDirExt as _, OpenOptionsSyncExt as _,
};
use cap_std::fs::{Dir, OpenOptions};

use super::path::{Text, follows};
use super::system;
use super::table::{Directory, Entry, OpenFile};
use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

/// `oflags`.
mod oflags {
    pub(super) const CREATE: i32 = 1;
    pub(super) const DIRECTORY: i32 = 2;
    pub(super) const EXCLUSIVE: i32 = 4;
    pub(super) const TRUNCATE: i32 = 8;
    pub(super) const ALL: i32 = 15;
}

/// `fdflags`.
pub(super) mod fdflags {
    pub(crate) const APPEND: u16 = 1;
    pub(crate) const DSYNC: u16 = 2;
    pub(crate) const RSYNC: u16 = 8;
    pub(crate) const SYNC: u16 = 16;
    pub(crate) const ALL: u16 = 31;

    /// Reads `fdflags` of a guest: `EINVAL` for unknown ones.
    pub(crate) fn of(flags: i32) -> Result<u16, crate::abi::Errno> {
        u16::try_from(flags).ok().filter(|flags| flags & !ALL == 0).ok_or(crate::abi::Errno::Inval)
    }
}

impl Call<'_> {
    /// Opens a regular file or a directory below another directory, and writes its descriptor, the
    /// lowest that is free. What the guest may do with it follows from `base`: `fd_read` or neither
    /// makes it readable, `fd_write` writable. (`inheriting` is not looked at.)
    ///
    /// `EBADF` for a descriptor that is no directory, or `ENOTDIR` if it is a file. `EPERM` for a
    /// path that leads out of the directory, and for writing, creating, and truncating where the
    /// guest may only read. `ENXIO` for a pipe, a socket, and a device. `EMFILE` with more than
    /// [`MAX_DESCRIPTORS`](crate::MAX_DESCRIPTORS) open.
    #[expect(clippy::too_many_arguments, reason = "the signature is the interface's")]
    pub fn path_open(
        &mut self,
        fd: i32,
        lookup: i32,
        path: i32,
        length: i32,
        open: i32,
        base: i64,
        _inheriting: i64,
        flags: i32,
        opened: i32,
    ) -> Result<i32, Stop> {
        settle("path_open", self.open(fd, Text(path, length), (lookup, open, base, flags), wide(opened)))
    }

    fn open(
        &mut self,
        fd: i32,
        path: Text,
        (lookup, open, base, flags): (i32, i32, i64, i32),
        opened: u64,
    ) -> Result<(), Failure> {
        let streams = &self.session.descriptors;
        let dirs = self.session.dirs.as_deref_mut().ok_or(Errno::Badf)?;
        if dirs.is_file(fd) {
            return Err(Errno::Notdir.into());
        }
        let directory = dirs.directory(fd)?;
        let wanted = Wanted::new(lookup, open, base, flags)?;
        let path = path.read(self.memory)?;
        // Checked first, because nothing may fail after the file was opened.
        memory::view(self.memory, opened, 4)?;
        if wanted.changes() {
            directory.access.for_writing()?;
        }
        let number = dirs.free(streams)?;
        let access = directory.access;
        let entry = match wanted.open(&directory.dir, path)? {
            Opened::Directory(dir) => Entry::Directory(Directory::new(dir, access)),
            Opened::File(_) if wanted.has(oflags::DIRECTORY) => return Err(Errno::Notdir.into()),
            Opened::File(file) => Entry::File(OpenFile {
                file,
                flags: wanted.flags,
                readable: wanted.read,
                writable: wanted.write,
                access,
            }),
        };
        dirs.put(number, entry);
        Ok(memory::store_u32(self.memory, opened, u32::try_from(number).unwrap_or(u32::MAX))?)
    }
}

/// How the guest wants to open something.
struct Wanted {
    follow: bool,
    open: i32,
    read: bool,
    write: bool,
    flags: u16,
}

/// What was opened.
enum Opened {
    File(File),
    Directory(Dir),
}

impl Wanted {
    fn new(lookup: i32, open: i32, base: i64, flags: i32) -> Result<Self, Errno> {
        const FD_READ: i64 = 1 << 1;
        const FD_WRITE: i64 = 1 << 6;
        let creates = oflags::CREATE | oflags::EXCLUSIVE | oflags::TRUNCATE;
        if open & !oflags::ALL != 0 || (open & oflags::DIRECTORY != 0 && open & creates != 0) {
            return Err(Errno::Inval);
        }
        let write = base & FD_WRITE != 0;
        let read = base & FD_READ != 0 || !write;
        Ok(Self { follow: follows(lookup)?, open, read, write, flags: fdflags::of(flags)? })
    }

    fn has(&self, flag: i32) -> bool {
        self.open & flag != 0
    }

    /// Returns whether the open itself, or a use of what was opened, may change a file.
    fn changes(&self) -> bool {
        self.write || self.has(oflags::CREATE | oflags::TRUNCATE)
    }

    fn open(&self, dir: &Dir, path: &Path) -> io::Result<Opened> {
        let mut options = OpenOptions::new();
        let append = self.flags & fdflags::APPEND != 0;
        options
            .read(self.read)
            // The system wants a file to be writable that is created or truncated.
            .write(self.changes())
            .append(append && self.write && !self.has(oflags::TRUNCATE))
            .truncate(self.has(oflags::TRUNCATE))
            .create(self.has(oflags::CREATE) && !self.has(oflags::EXCLUSIVE))
            .create_new(self.has(oflags::CREATE) && self.has(oflags::EXCLUSIVE))
            .follow(if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No })
            .sync(self.flags & fdflags::SYNC != 0)
            .dsync(self.flags & fdflags::DSYNC != 0)
            .rsync(self.flags & fdflags::RSYNC != 0);
        let opened = open(dir, path, &mut options)?;
        if let Opened::File(file) = &opened
            && append
            && self.has(oflags::TRUNCATE)
        {
            // The sandbox does not take both at once.
            system::set_append(file, true)?;
        }
        Ok(opened)
    }
}

/// Opens a regular file or a directory, and nothing else, without waiting.
fn open(dir: &Dir, path: &Path, options: &mut OpenOptions) -> io::Result<Opened> {
    // A pipe would wait for its other end here. What was opened is looked at afterwards, when
    // nobody can put another thing in its place.
    options.nonblock(true).maybe_dir(true);
    system::without_terminal(options);
    let file = dir.open_with(path, options)?.into_std();
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        Ok(Opened::Directory(Dir::from_std_file(file)))
    } else if metadata.is_file() {
        Ok(Opened::File(file))
    } else {
        Err(system::not_opened())
    }
}

/// Opens a regular file or a directory only to work on its attributes.
pub(super) fn open_attributes(dir: &Dir, path: &Path) -> io::Result<File> {
    Ok(match open(dir, path, OpenOptions::new().read(true))? {
        Opened::File(file) => file,
        Opened::Directory(dir) => dir.into_std_file(),
    })
}
