//! What only Unix has.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt};

use cap_std::fs::{DirEntry, FileTypeExt, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use rustix::io::Errno as System;
use rustix::process::{Resource, getrlimit};

use crate::abi::Errno;
use crate::abi::layout::FileType;

/// Returns the error number of an error of the system, if the guest is to know it.
pub(in super::super) fn errno(raw: i32) -> Option<Errno> {
    Some(match System::from_raw_os_error(raw) {
        System::ACCESS => Errno::Acces,
        System::AGAIN => Errno::Again,
        System::BADF => Errno::Badf,
        System::BUSY => Errno::Busy,
        System::DEADLK => Errno::Deadlk,
        System::DQUOT => Errno::Dquot,
        System::EXIST => Errno::Exist,
        System::FBIG => Errno::Fbig,
        System::ILSEQ => Errno::Ilseq,
        System::INTR => Errno::Intr,
        System::INVAL => Errno::Inval,
        System::IO => Errno::Io,
        System::ISDIR => Errno::Isdir,
        System::LOOP => Errno::Loop,
        System::MFILE => Errno::Mfile,
        System::MLINK => Errno::Mlink,
        System::NAMETOOLONG => Errno::Nametoolong,
        System::NFILE => Errno::Nfile,
        System::NODEV => Errno::Nodev,
        System::NOENT => Errno::Noent,
        System::NOLCK => Errno::Nolck,
        System::NOMEM => Errno::Nomem,
        System::NOSPC => Errno::Nospc,
        System::NOSYS => Errno::Nosys,
        System::NOTDIR => Errno::Notdir,
        System::NOTEMPTY => Errno::Notempty,
        System::NXIO => Errno::Nxio,
        System::OVERFLOW => Errno::Overflow,
        System::PERM => Errno::Perm,
        System::ROFS => Errno::Rofs,
        System::SPIPE => Errno::Spipe,
        System::STALE => Errno::Stale,
        System::TIMEDOUT => Errno::Timedout,
        System::TXTBSY => Errno::Txtbsy,
        System::XDEV => Errno::Xdev,
        // Two names of one number on Linux, and of two elsewhere.
        error if error == System::NOTSUP || error == System::OPNOTSUPP => Errno::Notsup,
        _ => return None,
    })
}

/// Makes sure that the open of a terminal does not make it that of this process.
pub(in super::super) fn without_terminal(options: &mut OpenOptions) {
    options.custom_flags(OFlags::NOCTTY.bits().cast_signed());
}

/// Turns appending on or off.
pub(in super::super) fn set_append(file: &File, append: bool) -> io::Result<()> {
    let mut flags = rustix::fs::fcntl_getfl(file)?;
    flags.set(OFlags::APPEND, append);
    Ok(rustix::fs::fcntl_setfl(file, flags)?)
}

/// Reads at an offset.
pub(in super::super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Writes at an offset.
pub(in super::super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

/// Returns the size that a file of this process must not exceed (`RLIMIT_FSIZE`), in bytes. The
/// system answers a write beyond it with a signal that ends the process, so the write must not
/// happen.
pub(in super::super) fn largest_file() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// Returns device, inode, and number of links.
pub(in super::super) fn identity(metadata: &Metadata) -> (u64, u64, u64) {
    (metadata.dev(), metadata.ino(), metadata.nlink())
}

/// Returns when a file's attributes changed, as seconds and nanoseconds since the Unix epoch.
pub(in super::super) fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Returns the inode of an entry of a directory.
pub(in super::super) fn inode(entry: &DirEntry) -> u64 {
    entry.ino()
}

/// Returns the type of what is neither a regular file, nor a directory, nor a symbolic link.
pub(in super::super) fn special(file_type: &cap_std::fs::FileType) -> FileType {
    if file_type.is_block_device() {
        FileType::BlockDevice
    } else if file_type.is_char_device() {
        FileType::CharacterDevice
    } else if file_type.is_socket() {
        FileType::SocketStream
    } else {
        FileType::Unknown
    }
}

/// The error of a pipe, a socket, and a device, as the system has it for a socket.
pub(in super::super) fn not_opened() -> io::Error {
    System::NXIO.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirs::errors;

    #[test]
    fn errors_of_the_machine_have_their_numbers() {
        let known = [
            (System::MFILE, Errno::Mfile),
            (System::NFILE, Errno::Nfile),
            (System::NOSPC, Errno::Nospc),
            (System::NOMEM, Errno::Nomem),
            (System::ACCESS, Errno::Acces),
            (System::PERM, Errno::Perm),
            (System::LOOP, Errno::Loop),
            (System::NOTSUP, Errno::Notsup),
            (System::NAMETOOLONG, Errno::Nametoolong),
            (System::NXIO, Errno::Nxio),
            // Of no use to a guest, so it gets the number for everything else.
            (System::CHILD, Errno::Io),
        ];
        for (system, expected) in known {
            assert_eq!(errors::errno(&system.into()), expected, "{system}");
        }
    }
}
