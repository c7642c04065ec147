//! The functions of descriptors: read, write, describe, close. Here is what they do for standard
//! streams; for files and directories they ask `dirs`.

mod descriptors;
mod output;

pub(crate) use descriptors::{Descriptor, Descriptors};
pub(crate) use output::Output;
pub use output::{MAX_LINE, MAX_LOGGED, Stream};

use crate::abi::layout::{Fdstat, Filestat};
use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure, Stop, Vectors, settle};
use crate::call::Call;

impl Call<'_> {
    /// Reads from a file, or from standard input, which is always at its end: zero bytes. `EBADF`
    /// for any other descriptor. A file gives at most `MAX_TRANSFER` bytes.
    pub fn fd_read(&mut self, fd: i32, buffers: i32, count: i32, read: i32) -> Result<i32, Stop> {
        settle("fd_read", self.read(fd, (buffers, count), read))
    }

    /// Writes buffers to a file, or to standard output or error; their lines go to the log. `EBADF`
    /// for any other descriptor, `EINVAL` for more than [`MAX_VECTORS`](crate::MAX_VECTORS) buffers
    /// or 4 GiB. A file takes at most `MAX_TRANSFER` bytes.
    ///
    /// Of a stream, the guest is told that everything was written, but only the first
    /// [`MAX_LOGGED`] bytes are looked at, because a guest may list the same buffer a thousand
    /// times.
    pub fn fd_write(&mut self, fd: i32, buffers: i32, count: i32, written: i32) -> Result<i32, Stop> {
        settle("fd_write", self.write(fd, (buffers, count), written))
    }

    /// Reads at an offset of a file. `ESPIPE` for standard input, `EBADF` for any other descriptor.
    pub fn fd_pread(
        &mut self,
        fd: i32,
        buffers: i32,
        count: i32,
        offset: i64,
        read: i32,
    ) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(Descriptor::Stdin) => Err(Errno::Spipe.into()),
            Ok(Descriptor::Output(_)) => Err(Errno::Badf.into()),
            Err(_) => self.read_file(fd, (buffers, count), Some(offset), read),
        };
        settle("fd_pread", outcome)
    }

    /// Writes at an offset of a file, or at its end if it was opened to append. `ESPIPE` for
    /// standard output and error, `EBADF` for any other descriptor.
    pub fn fd_pwrite(
        &mut self,
        fd: i32,
        buffers: i32,
        count: i32,
        offset: i64,
        written: i32,
    ) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(Descriptor::Output(_)) => Err(Errno::Spipe.into()),
            Ok(Descriptor::Stdin) => Err(Errno::Badf.into()),
            Err(_) => self.write_file(fd, (buffers, count), Some(offset), written),
        };
        settle("fd_pwrite", outcome)
    }

    /// Moves the offset of a file. `ESPIPE` for a standard stream, `EBADF` for any other
    /// descriptor.
    pub fn fd_seek(&mut self, fd: i32, offset: i64, whence: i32, position: i32) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(_) => Err(Errno::Spipe.into()),
            Err(_) => self.seek_file(fd, offset, whence, position),
        };
        settle("fd_seek", outcome)
    }

    /// Writes the offset of a file. `ESPIPE` for a standard stream, `EBADF` for any other
    /// descriptor.
    pub fn fd_tell(&mut self, fd: i32, position: i32) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(_) => Err(Errno::Spipe.into()),
            Err(_) => self.tell_file(fd, position),
        };
        settle("fd_tell", outcome)
    }

    /// Writes a descriptor's `fdstat`. A standard stream is a character device without flags, with
    /// the right to read (descriptor 0) or to write (1 and 2). `EBADF` for a descriptor that is not
    /// open.
    pub fn fd_fdstat_get(&mut self, fd: i32, stat: i32) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(stream) => {
                Fdstat::of_stream(stream.rights()).store(self.memory, wide(stat)).map_err(Failure::from)
            }
            Err(_) => self.fdstat_of_file(fd, stat),
        };
        settle("fd_fdstat_get", outcome)
    }

    /// Writes a descriptor's `filestat`. A standard stream is a character device, everything else
    /// zero. `EBADF` for a descriptor that is not open.
    pub fn fd_filestat_get(&mut self, fd: i32, stat: i32) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(_) => Filestat::STREAM.store(self.memory, wide(stat), self.abi).map_err(Failure::from),
            Err(_) => self.filestat_of_file(fd, stat),
        };
        settle("fd_filestat_get", outcome)
    }

    /// Names a preopened directory. `ENAMETOOLONG` if the buffer is shorter than the name,
    /// `ENOTDIR` for any other open descriptor, `EBADF` for one that is not open.
    pub fn fd_prestat_dir_name(&mut self, fd: i32, path: i32, length: i32) -> Result<i32, Stop> {
        let outcome = match self.session.stream(fd) {
            Ok(_) => Err(Errno::Notdir.into()),
            Err(_) => self.name_of_directory(fd, path, length),
        };
        settle("fd_prestat_dir_name", outcome)
    }

    /// Closes a descriptor. `EBADF` for one that is not open.
    pub fn fd_close(&mut self, fd: i32) -> Result<i32, Stop> {
        settle("fd_close", self.session.close(fd).map_err(Failure::from))
    }

    /// Moves descriptor `from` onto `to`, which it replaces. `EBADF` if one of them is not open.
    pub fn fd_renumber(&mut self, from: i32, to: i32) -> Result<i32, Stop> {
        settle("fd_renumber", self.session.renumber(from, to).map_err(Failure::from))
    }

    fn read(&mut self, fd: i32, (buffers, count): (i32, i32), read: i32) -> Result<(), Failure> {
        match self.session.stream(fd) {
            Ok(Descriptor::Stdin) => {
                Vectors::check(self.memory, buffers, count)?;
                Ok(memory::store_u32(self.memory, wide(read), 0)?)
            }
            Ok(Descriptor::Output(_)) => Err(Errno::Badf.into()),
            Err(_) => self.read_file(fd, (buffers, count), None, read),
        }
    }

    fn write(&mut self, fd: i32, (buffers, count): (i32, i32), written: i32) -> Result<(), Failure> {
        match self.session.stream(fd) {
            Ok(Descriptor::Output(stream)) => {
                let vectors = Vectors::check(self.memory, buffers, count)?;
                // Checked first, because nothing may fail after a line was logged.
                memory::span(self.memory, wide(written), 4)?;
                self.log_buffers(stream, vectors)?;
                Ok(memory::store_u32(self.memory, wide(written), vectors.total())?)
            }
            Ok(Descriptor::Stdin) => Err(Errno::Badf.into()),
            Err(_) => self.write_file(fd, (buffers, count), None, written),
        }
    }

    fn log_buffers(&mut self, stream: Stream, vectors: Vectors) -> Result<(), Failure> {
        let output = &mut self.session.output;
        let mut room = MAX_LOGGED;
        let mut skipped = 0_u64;
        for buffer in vectors.buffers(self.memory) {
            let buffer = buffer?;
            let (logged, rest) = buffer.split_at(room.min(buffer.len()));
            output.write(stream, logged, self.log);
            room = room.saturating_sub(logged.len());
            skipped = skipped.saturating_add(u64::try_from(rest.len()).unwrap_or(u64::MAX));
        }
        output.skip(stream, skipped);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Guest;
    use crate::{Abi, World};

    fn guest() -> Guest {
        Guest::new(&World::default())
    }

    #[test]
    fn buffers_become_lines_of_their_stream() {
        let mut guest = guest();
        guest.vectors(&[(100, 3), (103, 4)]);
        guest.put(100, b"hello\nx");
        assert_eq!(guest.call(|call| call.fd_write(2, 0, 2, 64)), Ok(0));
        assert_eq!(guest.u32_at(64), 7);
        assert_eq!(guest.lines, [(Stream::Stderr, "hello".to_owned())]);
        let Guest { session, lines, .. } = &mut guest;
        session.flush(&mut |stream, line: &str| lines.push((stream, line.to_owned())));
        assert_eq!(guest.lines[1], (Stream::Stderr, "x".to_owned()));
    }

    #[test]
    fn a_write_of_a_thousand_times_the_memory_is_counted_and_not_looked_at() {
        let mut guest = guest();
        guest.memory[8192..].fill(b'x');
        let length = 65_536 - 8192;
        guest.vectors(&[(8192, length); 1024]);
        assert_eq!(guest.call(|call| call.fd_write(1, 0, 1024, 8192)), Ok(0));
        assert_eq!(guest.u32_at(8192), 1024 * length);
        let dropped = u64::from(1024 * length) - 4096;
        assert_eq!(guest.session.dropped(), dropped);
        guest.call(|call| call.session.flush(call.log));
        assert_eq!(guest.lines.len(), 1);
        assert!(guest.lines[0].1.ends_with(&format!("x [{dropped} bytes dropped]")));
    }

    #[test]
    fn more_bytes_than_can_be_told_are_invalid() {
        let mut guest = guest();
        guest.memory = vec![0; 8 * 1024 * 1024];
        guest.vectors(&[(0, 8 * 1024 * 1024); 512]);
        assert_eq!(guest.call(|call| call.fd_write(1, 0, 512, 8192)), Ok(28));
        assert_eq!(guest.call(|call| call.fd_write(1, 0, 511, 8192)), Ok(0));
        assert_eq!(guest.u32_at(8192), 0xff80_0000);
    }

    #[test]
    fn nothing_is_logged_if_the_count_cannot_be_told() {
        let mut guest = guest();
        guest.vectors(&[(100, 1)]);
        guest.put(100, b"\n");
        assert!(guest.call(|call| call.fd_write(1, 0, 1, 65_533)).is_err());
        assert_eq!(guest.lines, []);
    }

    #[test]
    fn standard_input_is_at_its_end() {
        let mut guest = guest();
        guest.vectors(&[(100, 16)]);
        guest.put(64, &[0xff; 4]);
        assert_eq!(guest.call(|call| call.fd_read(0, 0, 1, 64)), Ok(0));
        assert_eq!(guest.u32_at(64), 0);
        assert_eq!(guest.call(|call| call.fd_read(1, 0, 1, 64)), Ok(8));
        assert_eq!(guest.call(|call| call.fd_write(0, 0, 1, 64)), Ok(8));
    }

    #[test]
    fn standard_streams_have_no_offset() {
        let mut guest = guest();
        for fd in 0..3 {
            assert_eq!(guest.call(|call| call.fd_seek(fd, 0, 1, 64)), Ok(70));
            assert_eq!(guest.call(|call| call.fd_tell(fd, 64)), Ok(70));
        }
        assert_eq!(
            [0, 1, 2, 3].map(|fd| guest.call(|call| call.fd_pread(fd, 0, 0, 0, 64))),
            [70, 8, 8, 8].map(Ok)
        );
        assert_eq!(
            [0, 1, 2, 3].map(|fd| guest.call(|call| call.fd_pwrite(fd, 0, 0, 0, 64))),
            [8, 70, 70, 8].map(Ok)
        );
    }

    #[test]
    fn only_an_open_descriptor_is_no_directory() {
        let mut guest = guest();
        let name = |guest: &mut Guest, fd| guest.call(|call| call.fd_prestat_dir_name(fd, 0, 0));
        assert_eq!([0, 1, 2, 3, -1].map(|fd| name(&mut guest, fd)), [54, 54, 54, 8, 8].map(Ok));
        assert_eq!(guest.call(|call| call.fd_close(0)), Ok(0));
        assert_eq!(name(&mut guest, 0), Ok(8));
        assert_eq!(guest.call(|call| call.fd_prestat_get(3, 0)), Ok(8));
    }

    #[test]
    fn a_stream_is_a_character_device_with_one_right() {
        let mut guest = guest();
        for (fd, right) in [(0, 1 << 1), (1, 1 << 6), (2, 1 << 6)] {
            guest.put(0, &[0xff; 24]);
            assert_eq!(guest.call(|call| call.fd_fdstat_get(fd, 0)), Ok(0));
            assert_eq!((guest.u64_at(0), guest.u64_at(8), guest.u64_at(16)), (2, right, right));
        }
        for (abi, size) in [(Abi::Preview1, 64), (Abi::Preview0, 56)] {
            guest.abi = abi;
            guest.memory.fill(0xff);
            assert_eq!(guest.call(|call| call.fd_filestat_get(1, 0)), Ok(0));
            assert_eq!(guest.memory.iter().position(|byte| *byte == 0xff), Some(size));
        }
    }

    #[test]
    fn a_closed_stream_is_gone_for_every_function() {
        let mut guest = guest();
        assert_eq!(guest.call(|call| call.fd_close(2)), Ok(0));
        assert_eq!(guest.call(|call| call.fd_close(2)), Ok(8));
        assert_eq!(guest.call(|call| call.fd_write(2, 0, 0, 0)), Ok(8));
        assert_eq!(guest.call(|call| call.fd_fdstat_get(2, 0)), Ok(8));
        assert_eq!(guest.call(|call| call.fd_filestat_get(2, 0)), Ok(8));
        assert_eq!(guest.call(|call| call.fd_renumber(1, 2)), Ok(8));
        assert_eq!(guest.call(|call| call.fd_renumber(1, 0)), Ok(0));
        assert_eq!(guest.call(|call| call.fd_write(0, 0, 0, 0)), Ok(0));
        assert_eq!(guest.call(|call| call.fd_write(1, 0, 0, 0)), Ok(8));
    }
}
