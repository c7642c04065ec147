//! What Unix has, where it is lacking.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use cap_std::fs::{DirEntry, Metadata, OpenOptions};

use crate::abi::Errno;
use crate::abi::layout::FileType;

/// Returns nothing: errors go by their kind.
pub(in super::super) fn errno(_: i32) -> Option<Errno> {
    None
}

pub(in super::super) fn without_terminal(_: &mut OpenOptions) {}

/// Fails: the system cannot change this of an open file.
pub(in super::super) fn set_append(_: &File, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reads at an offset. Nobody else uses the file's own offset meanwhile.
pub(in super::super) fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let before = file.stream_position()?;
    file.seek(SeekFrom::Start(offset))?;
    let read = file.read(buffer);
    file.seek(SeekFrom::Start(before))?;
    read
}

/// Writes at an offset, as [`read_at`] reads.
pub(in super::super) fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    let before = file.stream_position()?;
    file.seek(SeekFrom::Start(offset))?;
    let written = file.write(bytes);
    file.seek(SeekFrom::Start(before))?;
    written
}

pub(in super::super) fn largest_file() -> Option<u64> {
    None
}

/// Returns what says nothing: the system tells it of open files only.
pub(in super::super) fn identity(_: &Metadata) -> (u64, u64, u64) {
    (0, 0, 1)
}

pub(in super::super) fn changed(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

pub(in super::super) fn inode(_: &DirEntry) -> u64 {
    0
}

pub(in super::super) fn special(_: &cap_std::fs::FileType) -> FileType {
    FileType::Unknown
}

/// The error of what is no regular file and no directory.
pub(in super::super) fn not_opened() -> io::Error {
    io::ErrorKind::Unsupported.into()
}
