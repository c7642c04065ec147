//! Functions that change what is in a directory, and links.

use cap_fs_ext::DirExt as _;

use super::path::{Text, follows};
use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

/// All of these answer `EBADF` for a descriptor that is no directory, and `EPERM` for a path that
/// leads out of it. Those that change something answer `EPERM` where the guest may only read.
impl Call<'_> {
    /// Makes a directory.
    pub fn path_create_directory(&mut self, fd: i32, path: i32, length: i32) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, guest)| {
            let dir = dirs.writable(fd)?;
            Ok(dir.create_dir(Text(path, length).read(guest)?)?)
        });
        settle("path_create_directory", outcome)
    }

    /// Removes an empty directory.
    pub fn path_remove_directory(&mut self, fd: i32, path: i32, length: i32) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, guest)| {
            let dir = dirs.writable(fd)?;
            Ok(dir.remove_dir(Text(path, length).read(guest)?)?)
        });
        settle("path_remove_directory", outcome)
    }

    /// Removes what is no directory.
    pub fn path_unlink_file(&mut self, fd: i32, path: i32, length: i32) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, guest)| {
            let dir = dirs.writable(fd)?;
            Ok(dir.remove_file_or_symlink(Text(path, length).read(guest)?)?)
        });
        settle("path_unlink_file", outcome)
    }

    /// Renames a file or a directory, over what has the new name if the system allows that.
    pub fn path_rename(
        &mut self,
        old_fd: i32,
        old_path: i32,
        old_length: i32,
        new_fd: i32,
        new_path: i32,
        new_length: i32,
    ) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, guest)| {
            let (from, to) = (dirs.writable(old_fd)?, dirs.writable(new_fd)?);
            let old = Text(old_path, old_length).read(guest)?;
            Ok(from.rename(old, to, Text(new_path, new_length).read(guest)?)?)
        });
        settle("path_rename", outcome)
    }

    /// Makes a hard link. The guest has to be allowed to write in both directories: a link to a
    /// file that it may only read would make that file writable. `EINVAL` if it wants a link to
    /// what a symbolic link leads to.
    #[expect(clippy::too_many_arguments, reason = "the signature is the interface's")]
    pub fn path_link(
        &mut self,
        old_fd: i32,
        flags: i32,
        old_path: i32,
        old_length: i32,
        new_fd: i32,
        new_path: i32,
        new_length: i32,
    ) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, guest)| {
            let (from, to) = (dirs.writable(old_fd)?, dirs.writable(new_fd)?);
            let old = Text(old_path, old_length).read(guest)?;
            let new = Text(new_path, new_length).read(guest)?;
            if follows(flags)? {
                return Err(Errno::Inval.into());
            }
            Ok(from.hard_link(old, to, new)?)
        });
        settle("path_link", outcome)
    }

    /// Makes a symbolic link. `EPERM` for an absolute target, which would lead a program of the
    /// host elsewhere. A target that leads out of the directory may be written, but not followed.
    pub fn path_symlink(
        &mut self,
        old_path: i32,
        old_length: i32,
        fd: i32,
        new_path: i32,
        new_length: i32,
    ) -> Result<i32, Stop> {
        let outcome = self.split().and_then(|(dirs, guest)| {
            let dir = dirs.writable(fd)?;
            let target = Text(old_path, old_length).read(guest)?;
            let path = Text(new_path, new_length).read(guest)?;
            Ok(cap_fs_ext::DirExt::symlink(dir, target, path)?)
        });
        settle("path_symlink", outcome)
    }

    /// Reads a symbolic link, as much of it as the buffer holds, and writes how many bytes that is.
    /// `EPERM` for an absolute target, which would tell of the host.
    pub fn path_readlink(
        &mut self,
        fd: i32,
        path: i32,
        length: i32,
        buffer: i32,
        capacity: i32,
        used: i32,
    ) -> Result<i32, Stop> {
        settle("path_readlink", self.read_link(fd, Text(path, length), (buffer, capacity), wide(used)))
    }

    fn read_link(
        &mut self,
        fd: i32,
        path: Text,
        (buffer, capacity): (i32, i32),
        used: u64,
    ) -> Result<(), Failure> {
        let (dirs, guest) = self.split()?;
        let target = dirs.directory(fd)?.dir.read_link(path.read(guest)?)?;
        let target = target.to_str().ok_or(Errno::Ilseq)?.as_bytes();
        let room = usize::try_from(capacity.cast_unsigned()).unwrap_or(usize::MAX);
        let (told, _) = target.split_at(room.min(target.len()));
        memory::view(guest, used, 4)?;
        memory::store(guest, wide(buffer), told)?;
        Ok(memory::store_u32(guest, used, u32::try_from(told.len()).unwrap_or(u32::MAX))?)
    }
}
