//! What is told of files: `fdstat`, `filestat`, and the names of preopened directories.

use cap_std::fs::Metadata;

use super::path::{Text, follows};
use super::system;
use super::table::{Directories, Entry, OpenFile};
use super::times::{of_system, since_epoch};
use crate::abi::layout::{Fdstat, FileType, Filestat};
use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

/// Rights, by their bits.
mod rights {
    pub(super) const FD_READ: u64 = 1 << 1;
    /// To write, to make room, and to set the size.
    pub(super) const WRITING: u64 = 1 << 6 | 1 << 8 | 1 << 22;
    /// Those of a file: data, offset, flags, attributes, and waiting for it.
    pub(super) const FILE: u64 = 0x08e0_01ff;
    /// Those of a directory that Wasmtime tells: paths, listing, attributes.
    pub(super) const DIRECTORY: u64 = 0x07b7_fe00;
}

/// Returns the type that a guest is told.
pub(super) fn file_type(kind: &cap_std::fs::FileType) -> FileType {
    if kind.is_file() {
        FileType::RegularFile
    } else if kind.is_dir() {
        FileType::Directory
    } else if kind.is_symlink() {
        FileType::SymbolicLink
    } else {
        system::special(kind)
    }
}

fn filestat(metadata: &Metadata) -> Filestat {
    let (device, inode, links) = system::identity(metadata);
    let (seconds, nanoseconds) = system::changed(metadata);
    Filestat {
        device,
        inode,
        file_type: file_type(&metadata.file_type()),
        links,
        size: metadata.len(),
        accessed: metadata.accessed().map_or(0, |time| of_system(time.into_std())),
        modified: metadata.modified().map_or(0, |time| of_system(time.into_std())),
        changed: since_epoch(seconds, nanoseconds),
    }
}

impl OpenFile {
    fn rights(&self) -> u64 {
        let lacking = match (self.readable, self.writable) {
            (true, true) => 0,
            (true, false) => rights::WRITING,
            (false, true) => rights::FD_READ,
            (false, false) => rights::FD_READ | rights::WRITING,
        };
        rights::FILE & !lacking
    }
}

impl Directories {
    fn fdstat(&mut self, fd: i32) -> Result<Fdstat, Errno> {
        Ok(match self.any(fd)? {
            Entry::File(file) => {
                let rights = file.rights();
                Fdstat { file_type: FileType::RegularFile, flags: file.flags, rights, inheriting: rights }
            }
            // Told in a directory that is only read as well: a C library asks for less if it is
            // told of less, and the guest would learn at its first write that it cannot.
            Entry::Directory(_) => Fdstat {
                file_type: FileType::Directory,
                flags: 0,
                rights: rights::DIRECTORY,
                inheriting: rights::DIRECTORY | rights::FILE,
            },
            Entry::Stream(stream) => Fdstat::of_stream(stream.rights()),
        })
    }

    fn filestat(&mut self, fd: i32) -> Result<Filestat, Failure> {
        Ok(match self.any(fd)? {
            Entry::File(file) => filestat(&Metadata::from_file(&file.file)?),
            Entry::Directory(directory) => filestat(&directory.dir.dir_metadata()?),
            Entry::Stream(_) => Filestat::STREAM,
        })
    }

    /// Returns the name of a preopened directory; `None` for what is open and is none.
    fn preopened(&mut self, fd: i32) -> Result<Option<&str>, Errno> {
        Ok(match self.any(fd)? {
            Entry::Directory(directory) => directory.name.as_deref(),
            Entry::File(_) | Entry::Stream(_) => None,
        })
    }
}

impl Call<'_> {
    /// Writes the `fdstat` of a file or a directory.
    pub(crate) fn fdstat_of_file(&mut self, fd: i32, stat: i32) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        Ok(dirs.fdstat(fd)?.store(guest, wide(stat))?)
    }

    /// Writes the `filestat` of a file or a directory.
    pub(crate) fn filestat_of_file(&mut self, fd: i32, stat: i32) -> Result<(), Failure> {
        let abi = self.abi;
        let (dirs, guest) = self.split()?;
        Ok(dirs.filestat(fd)?.store(guest, wide(stat), abi)?)
    }

    /// Writes the name of a preopened directory.
    pub(crate) fn name_of_directory(&mut self, fd: i32, path: i32, length: i32) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let name = dirs.preopened(fd)?.ok_or(Errno::Notdir)?;
        if u64::try_from(name.len()).unwrap_or(u64::MAX) > wide(length) {
            return Err(Errno::Nametoolong.into());
        }
        Ok(memory::store(guest, wide(path), name.as_bytes())?)
    }

    /// Describes a preopened directory: its kind, and the length of its name. `EBADF` for any other
    /// descriptor, which ends a C library's search for such directories.
    pub fn fd_prestat_get(&mut self, fd: i32, stat: i32) -> Result<i32, Stop> {
        settle("fd_prestat_get", self.prestat(fd, wide(stat)))
    }

    fn prestat(&mut self, fd: i32, stat: u64) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let name = dirs.preopened(fd)?.ok_or(Errno::Badf)?;
        let length = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
        memory::span(guest, stat, 8)?.fill(0);
        Ok(memory::store_u32(guest, stat.saturating_add(4), length)?)
    }

    /// Gives up rights to a file or a directory: `ENOTSUP`. `EBADF` for any other descriptor.
    pub fn fd_fdstat_set_rights(&mut self, fd: i32, _base: i64, _inheriting: i64) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, _)| match dirs.any(fd)? {
            Entry::File(_) | Entry::Directory(_) => Err(Errno::Notsup.into()),
            Entry::Stream(_) => Err(Errno::Badf.into()),
        });
        settle("fd_fdstat_set_rights", outcome)
    }

    /// Describes a file by its path. `EBADF` for a descriptor that is no directory, `EPERM` for a
    /// path that leads out of it.
    pub fn path_filestat_get(
        &mut self,
        fd: i32,
        flags: i32,
        path: i32,
        length: i32,
        stat: i32,
    ) -> Result<i32, Stop> {
        settle("path_filestat_get", self.filestat_of_path(fd, flags, Text(path, length), wide(stat)))
    }

    fn filestat_of_path(&mut self, fd: i32, flags: i32, path: Text, stat: u64) -> Result<(), Failure> {
        let abi = self.abi;
        let (dirs, guest) = self.split()?;
        let dir = &dirs.directory(fd)?.dir;
        let path = path.read(guest)?;
        let metadata = if follows(flags)? { dir.metadata(path)? } else { dir.symlink_metadata(path)? };
        Ok(filestat(&metadata).store(guest, stat, abi)?)
    }
}
