//! A guest with a directory, without an engine: each function with values instead of pointers.

#![allow(clippy::indexing_slicing, reason = "a test that panics is a test that fails")]

use std::path::Path;

use antiphon_wasi::{Abi, Access, Call, Session, Stop, Stream, World};
use tempfile::TempDir;

pub(crate) const READ: i64 = 1 << 1;
pub(crate) const WRITE: i64 = 1 << 6;
pub(crate) const CREATE: i32 = 1;
pub(crate) const DIRECTORY: i32 = 2;
pub(crate) const EXCLUSIVE: i32 = 4;
pub(crate) const TRUNCATE: i32 = 8;
pub(crate) const APPEND: i32 = 1;

/// Error numbers.
pub(crate) const BADF: i32 = 8;
pub(crate) const EXIST: i32 = 20;
pub(crate) const FBIG: i32 = 22;
pub(crate) const ILSEQ: i32 = 25;
pub(crate) const INVAL: i32 = 28;
pub(crate) const ISDIR: i32 = 31;
pub(crate) const LOOP: i32 = 32;
pub(crate) const MFILE: i32 = 33;
pub(crate) const NAMETOOLONG: i32 = 37;
pub(crate) const NOENT: i32 = 44;
pub(crate) const NOSPC: i32 = 51;
pub(crate) const NOTDIR: i32 = 54;
pub(crate) const NOTEMPTY: i32 = 55;
pub(crate) const NOTSUP: i32 = 58;
pub(crate) const NXIO: i32 = 60;
pub(crate) const PERM: i32 = 63;

/// Where results are written to in the guest's memory.
pub(crate) const RESULT: i32 = 60_000;
/// Where paths are.
const PATHS: i32 = 16_384;
/// Where data is.
const DATA: i32 = 32_768;

pub(crate) struct Guest {
    pub(crate) memory: Vec<u8>,
    pub(crate) session: Session,
    pub(crate) abi: Abi,
    pub(crate) lines: Vec<(Stream, String)>,
}

/// An entry of a directory: the cookie after it, inode, type, name.
pub(crate) type Entry = (u64, u64, u8, String);

impl Guest {
    /// Grants a directory as descriptor 3, under the name `/data`.
    pub(crate) fn new(directory: &Path, access: Access) -> Self {
        let mut session = World::default().session();
        session.grant(directory, "/data", access).unwrap();
        Self { memory: vec![0; 65_536], session, abi: Abi::Preview1, lines: Vec::new() }
    }

    /// Makes a directory, and grants it.
    pub(crate) fn writable() -> (TempDir, Self) {
        let directory = tempfile::tempdir().unwrap();
        let guest = Self::new(directory.path(), Access::ReadWrite);
        (directory, guest)
    }

    /// Calls a function. Panics if it stops the guest.
    pub(crate) fn call(&mut self, run: impl FnOnce(&mut Call<'_>) -> Result<i32, Stop>) -> Result<(), i32> {
        match self.try_call(run).expect("a function that returns") {
            0 => Ok(()),
            errno => Err(errno),
        }
    }

    pub(crate) fn try_call(
        &mut self,
        run: impl FnOnce(&mut Call<'_>) -> Result<i32, Stop>,
    ) -> Result<i32, Stop> {
        let Self { memory, session, abi, lines } = self;
        let mut log = |stream: Stream, line: &str| lines.push((stream, line.to_owned()));
        run(&mut Call { session, memory, abi: *abi, log: &mut log })
    }

    fn place(&mut self, at: i32, bytes: &[u8]) -> (i32, i32) {
        let start = usize::try_from(at).unwrap();
        self.memory[start..start + bytes.len()].copy_from_slice(bytes);
        (at, i32::try_from(bytes.len()).unwrap())
    }

    pub(crate) fn path(&mut self, path: impl AsRef<[u8]>) -> (i32, i32) {
        self.place(PATHS, path.as_ref())
    }

    fn two_paths(&mut self, one: &str, two: &str) -> ((i32, i32), (i32, i32)) {
        (self.place(PATHS, one.as_bytes()), self.place(PATHS + 8192, two.as_bytes()))
    }

    pub(crate) fn u32_at(&self, at: i32) -> u32 {
        let at = usize::try_from(at).unwrap();
        u32::from_le_bytes(self.memory[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn u64_at(&self, at: i32) -> u64 {
        let at = usize::try_from(at).unwrap();
        u64::from_le_bytes(self.memory[at..at + 8].try_into().unwrap())
    }

    /// Opens a path below a descriptor, following links.
    pub(crate) fn open_at(
        &mut self,
        fd: i32,
        path: impl AsRef<[u8]>,
        open: i32,
        rights: i64,
        flags: i32,
    ) -> Result<i32, i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_open(fd, 1, path, length, open, rights, 0, flags, RESULT))?;
        Ok(self.u32_at(RESULT).cast_signed())
    }

    pub(crate) fn open(&mut self, path: impl AsRef<[u8]>, open: i32, rights: i64) -> Result<i32, i32> {
        self.open_at(3, path, open, rights, 0)
    }

    pub(crate) fn open_nofollow(&mut self, path: &str) -> Result<i32, i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_open(3, 0, path, length, 0, READ, 0, 0, RESULT))?;
        Ok(self.u32_at(RESULT).cast_signed())
    }

    pub(crate) fn close(&mut self, fd: i32) -> Result<(), i32> {
        self.call(|call| call.fd_close(fd))
    }

    /// Writes a list of buffers at 0.
    pub(crate) fn vectors(&mut self, buffers: &[(i32, i32)]) -> i32 {
        for (index, (pointer, length)) in buffers.iter().enumerate() {
            let at = i32::try_from(index * 8).unwrap();
            self.place(at, &[pointer.to_le_bytes(), length.to_le_bytes()].concat());
        }
        i32::try_from(buffers.len()).unwrap()
    }

    pub(crate) fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<u32, i32> {
        let span = self.place(DATA, bytes);
        let count = self.vectors(&[span]);
        self.call(|call| call.fd_write(fd, 0, count, RESULT))?;
        Ok(self.u32_at(RESULT))
    }

    pub(crate) fn pwrite(&mut self, fd: i32, bytes: &[u8], offset: i64) -> Result<u32, i32> {
        let span = self.place(DATA, bytes);
        let count = self.vectors(&[span]);
        self.call(|call| call.fd_pwrite(fd, 0, count, offset, RESULT))?;
        Ok(self.u32_at(RESULT))
    }

    fn data(&self) -> Vec<u8> {
        let start = usize::try_from(DATA).unwrap();
        self.memory[start..start + usize::try_from(self.u32_at(RESULT)).unwrap()].to_vec()
    }

    pub(crate) fn read(&mut self, fd: i32, length: i32) -> Result<Vec<u8>, i32> {
        self.vectors(&[(DATA, length)]);
        self.call(|call| call.fd_read(fd, 0, 1, RESULT))?;
        Ok(self.data())
    }

    pub(crate) fn pread(&mut self, fd: i32, length: i32, offset: i64) -> Result<Vec<u8>, i32> {
        self.vectors(&[(DATA, length)]);
        self.call(|call| call.fd_pread(fd, 0, 1, offset, RESULT))?;
        Ok(self.data())
    }

    pub(crate) fn seek(&mut self, fd: i32, offset: i64, whence: i32) -> Result<u64, i32> {
        self.call(|call| call.fd_seek(fd, offset, whence, RESULT))?;
        Ok(self.u64_at(RESULT))
    }

    /// Reads a file from its beginning to its end, up to 1 KiB.
    pub(crate) fn content(&mut self, path: &str) -> Result<Vec<u8>, i32> {
        let fd = self.open(path, 0, READ)?;
        let content = self.read(fd, 1024);
        self.close(fd)?;
        content
    }

    /// Lists as many entries as a buffer has room for. The last one may be cut short.
    pub(crate) fn list(&mut self, fd: i32, length: i32, cookie: u64) -> Result<(u32, Vec<Entry>), i32> {
        self.call(|call| call.fd_readdir(fd, DATA, length, cookie.cast_signed(), RESULT))?;
        let used = self.u32_at(RESULT);
        let mut bytes = self.data();
        let mut entries = Vec::new();
        while bytes.len() >= 24 {
            let name_length = usize::try_from(u32::from_le_bytes(bytes[16..20].try_into().unwrap())).unwrap();
            if bytes.len() < 24 + name_length {
                break;
            }
            let next = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let inode = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
            let name = String::from_utf8(bytes[24..24 + name_length].to_vec()).unwrap();
            entries.push((next, inode, bytes[20], name));
            bytes.drain(..24 + name_length);
        }
        Ok((used, entries))
    }

    /// Lists all names of a directory but `.` and `..`, sorted, as a C library does.
    pub(crate) fn names(&mut self, fd: i32, buffer: i32) -> Result<Vec<String>, i32> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let (used, entries) = self.list(fd, buffer, cookie)?;
            cookie = entries.last().map_or(cookie, |entry| entry.0);
            names.extend(entries.into_iter().map(|entry| entry.3));
            if used < u32::try_from(buffer).unwrap() {
                names.retain(|name| name != "." && name != "..");
                names.sort();
                return Ok(names);
            }
        }
    }

    /// Describes a path: type, links, size.
    pub(crate) fn stat(&mut self, path: &str, follow: i32) -> Result<(u8, u64, u64), i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_filestat_get(3, follow, path, length, RESULT))?;
        let kind = self.memory[usize::try_from(RESULT).unwrap() + 16];
        Ok((kind, self.u64_at(RESULT + 24), self.u64_at(RESULT + 32)))
    }

    pub(crate) fn create_directory(&mut self, path: impl AsRef<[u8]>) -> Result<(), i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_create_directory(3, path, length))
    }

    pub(crate) fn remove_directory(&mut self, path: &str) -> Result<(), i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_remove_directory(3, path, length))
    }

    pub(crate) fn unlink(&mut self, path: &str) -> Result<(), i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_unlink_file(3, path, length))
    }

    pub(crate) fn rename(&mut self, from: &str, (fd, to): (i32, &str)) -> Result<(), i32> {
        let (from, to) = self.two_paths(from, to);
        self.call(|call| call.path_rename(3, from.0, from.1, fd, to.0, to.1))
    }

    pub(crate) fn link(&mut self, from: &str, (fd, to): (i32, &str)) -> Result<(), i32> {
        let (from, to) = self.two_paths(from, to);
        self.call(|call| call.path_link(3, 0, from.0, from.1, fd, to.0, to.1))
    }

    pub(crate) fn symlink(&mut self, target: &str, path: &str) -> Result<(), i32> {
        let (target, path) = self.two_paths(target, path);
        self.call(|call| call.path_symlink(target.0, target.1, 3, path.0, path.1))
    }

    pub(crate) fn read_link(&mut self, path: &str, capacity: i32) -> Result<Vec<u8>, i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_readlink(3, path, length, DATA, capacity, RESULT))?;
        Ok(self.data())
    }

    pub(crate) fn set_times(
        &mut self,
        path: &str,
        follow: i32,
        times: (i64, i64),
        flags: i32,
    ) -> Result<(), i32> {
        let (path, length) = self.path(path);
        self.call(|call| call.path_filestat_set_times(3, follow, path, length, times.0, times.1, flags))
    }
}
