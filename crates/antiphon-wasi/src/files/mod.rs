//! Functions that only files and directories have. No descriptor is one, so all of them fail.

mod paths;
mod sockets;

use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

/// Defines functions that return one error number for all arguments.
macro_rules! refused {
    ($($(#[$doc:meta])* fn $name:ident($($type:ty),*) => $errno:ident;)*) => {
        impl $crate::Call<'_> {
            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments, reason = "the signature is the interface's")]
                pub fn $name(&mut self, $(_: $type),*) -> Result<i32, $crate::Stop> {
                    Ok($crate::abi::Errno::$errno.into())
                }
            )*
        }
    };
}

use refused;

refused! {
    /// Advises on how a file will be read: `EBADF`.
    fn fd_advise(i32, i64, i64, i32) => Badf;
    /// Makes room in a file: `EBADF`.
    fn fd_allocate(i32, i64, i64) => Badf;
    /// Writes a file's data to its medium: `EBADF`, for standard streams as well.
    fn fd_datasync(i32) => Badf;
    /// Sets a file's flags: `EBADF`, for standard streams as well.
    fn fd_fdstat_set_flags(i32, i32) => Badf;
    /// Gives up rights to a file: `EBADF`, for standard streams as well.
    fn fd_fdstat_set_rights(i32, i64, i64) => Badf;
    /// Sets a file's size: `EBADF`.
    fn fd_filestat_set_size(i32, i64) => Badf;
    /// Sets a file's times: `EBADF`.
    fn fd_filestat_set_times(i32, i64, i64, i32) => Badf;
    /// Describes a preopened directory: `EBADF`, which ends a C library's search for such
    /// directories at once.
    fn fd_prestat_get(i32, i32) => Badf;
    /// Lists a directory: `EBADF`.
    fn fd_readdir(i32, i32, i32, i64, i32) => Badf;
    /// Writes a file's data and attributes to its medium: `EBADF`, for standard streams as well.
    fn fd_sync(i32) => Badf;
}

impl Call<'_> {
    /// Names a preopened directory: `ENOTDIR` for a standard stream, `EBADF` for any other
    /// descriptor.
    pub fn fd_prestat_dir_name(&mut self, fd: i32, _path: i32, _length: i32) -> Result<i32, Stop> {
        let errno = self.session.descriptors.get(fd).map_or_else(|errno| errno, |_| Errno::Notdir);
        settle("fd_prestat_dir_name", Err(Failure::from(errno)))
    }
}

#[cfg(test)]
mod tests {
    use crate::World;
    use crate::fixture::Guest;

    #[test]
    fn only_an_open_descriptor_is_no_directory() {
        let mut guest = Guest::new(&World::default());
        let name = |guest: &mut Guest, fd| guest.call(|call| call.fd_prestat_dir_name(fd, 0, 0));
        assert_eq!([0, 1, 2, 3, -1].map(|fd| name(&mut guest, fd)), [54, 54, 54, 8, 8].map(Ok));
        assert_eq!(guest.call(|call| call.fd_close(0)), Ok(0));
        assert_eq!(name(&mut guest, 0), Ok(8));
        assert_eq!(guest.call(|call| call.fd_prestat_get(3, 0)), Ok(8));
    }
}
