//! Without the feature `dirs` no descriptor is a file or a directory, so all of their functions
//! fail.

use crate::abi::{Errno, Failure};
use crate::call::Call;
use crate::stdio::{Descriptor, Descriptors};

/// The directories of a guest, of which there are none.
#[derive(Debug)]
pub(crate) enum Directories {}

impl Directories {
    pub(crate) fn is_open(&self, _fd: i32) -> bool {
        match *self {}
    }

    pub(crate) fn is_file(&self, _fd: i32) -> bool {
        match *self {}
    }

    pub(crate) fn stream(&self, _fd: i32) -> Option<Descriptor> {
        match *self {}
    }

    pub(crate) fn close(&mut self, _fd: i32) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn renumber(&mut self, _: &mut Descriptors, _from: i32, _to: i32) -> Result<(), Errno> {
        match *self {}
    }
}

/// What the functions of standard streams do for any other descriptor.
impl Call<'_> {
    pub(crate) fn read_file(
        &mut self,
        _fd: i32,
        _buffers: (i32, i32),
        _at: Option<i64>,
        _read: i32,
    ) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }

    pub(crate) fn write_file(
        &mut self,
        _fd: i32,
        _buffers: (i32, i32),
        _at: Option<i64>,
        _written: i32,
    ) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }

    pub(crate) fn seek_file(
        &mut self,
        _fd: i32,
        _offset: i64,
        _whence: i32,
        _position: i32,
    ) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }

    pub(crate) fn tell_file(&mut self, _fd: i32, _position: i32) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }

    pub(crate) fn fdstat_of_file(&mut self, _fd: i32, _stat: i32) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }

    pub(crate) fn filestat_of_file(&mut self, _fd: i32, _stat: i32) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }

    pub(crate) fn name_of_directory(&mut self, _fd: i32, _path: i32, _length: i32) -> Result<(), Failure> {
        Err(Errno::Badf.into())
    }
}

/// Defines functions that return `EBADF` for all arguments.
macro_rules! refused {
    ($($(#[$doc:meta])* fn $name:ident($($type:ty),*);)*) => {
        impl Call<'_> {
            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments, reason = "the signature is the interface's")]
                pub fn $name(&mut self, $(_: $type),*) -> Result<i32, $crate::Stop> {
                    Ok(Errno::Badf.into())
                }
            )*
        }
    };
}

refused! {
    /// Advises on how a file will be read: `EBADF`.
    fn fd_advise(i32, i64, i64, i32);
    /// Makes room in a file: `EBADF`.
    fn fd_allocate(i32, i64, i64);
    /// Writes a file's data to its medium: `EBADF`, for standard streams as well.
    fn fd_datasync(i32);
    /// Sets a file's flags: `EBADF`, for standard streams as well.
    fn fd_fdstat_set_flags(i32, i32);
    /// Gives up rights to a file: `EBADF`, for standard streams as well.
    fn fd_fdstat_set_rights(i32, i64, i64);
    /// Sets a file's size: `EBADF`.
    fn fd_filestat_set_size(i32, i64);
    /// Sets a file's times: `EBADF`.
    fn fd_filestat_set_times(i32, i64, i64, i32);
    /// Describes a preopened directory: `EBADF`, which ends a C library's search for such
    /// directories at once.
    fn fd_prestat_get(i32, i32);
    /// Lists a directory: `EBADF`.
    fn fd_readdir(i32, i32, i32, i64, i32);
    /// Writes a file's data and attributes to its medium: `EBADF`, for standard streams as well.
    fn fd_sync(i32);
    /// Makes a directory: `EBADF`.
    fn path_create_directory(i32, i32, i32);
    /// Describes a file by its path: `EBADF`.
    fn path_filestat_get(i32, i32, i32, i32, i32);
    /// Sets a file's times by its path: `EBADF`.
    fn path_filestat_set_times(i32, i32, i32, i32, i64, i64, i32);
    /// Makes a hard link: `EBADF`.
    fn path_link(i32, i32, i32, i32, i32, i32, i32);
    /// Opens a file or directory: `EBADF`.
    fn path_open(i32, i32, i32, i32, i32, i64, i64, i32, i32);
    /// Reads a symbolic link: `EBADF`.
    fn path_readlink(i32, i32, i32, i32, i32, i32);
    /// Removes a directory: `EBADF`.
    fn path_remove_directory(i32, i32, i32);
    /// Renames a file: `EBADF`.
    fn path_rename(i32, i32, i32, i32, i32, i32);
    /// Makes a symbolic link: `EBADF`.
    fn path_symlink(i32, i32, i32, i32, i32);
    /// Removes a file: `EBADF`.
    fn path_unlink_file(i32, i32, i32);
}
