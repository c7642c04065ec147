//! Functions that go through a directory. No descriptor is a directory, so no path leads anywhere.

use super::refused;

refused! {
    /// Makes a directory: `EBADF`.
    fn path_create_directory(i32, i32, i32) => Badf;
    /// Describes a file by its path: `EBADF`.
    fn path_filestat_get(i32, i32, i32, i32, i32) => Badf;
    /// Sets a file's times by its path: `EBADF`.
    fn path_filestat_set_times(i32, i32, i32, i32, i64, i64, i32) => Badf;
    /// Makes a hard link: `EBADF`.
    fn path_link(i32, i32, i32, i32, i32, i32, i32) => Badf;
    /// Opens a file or directory: `EBADF`.
    fn path_open(i32, i32, i32, i32, i32, i64, i64, i32, i32) => Badf;
    /// Reads a symbolic link: `EBADF`.
    fn path_readlink(i32, i32, i32, i32, i32, i32) => Badf;
    /// Removes a directory: `EBADF`.
    fn path_remove_directory(i32, i32, i32) => Badf;
    /// Renames a file: `EBADF`.
    fn path_rename(i32, i32, i32, i32, i32, i32) => Badf;
    /// Makes a symbolic link: `EBADF`.
    fn path_symlink(i32, i32, i32, i32, i32) => Badf;
    /// Removes a file: `EBADF`.
    fn path_unlink_file(i32, i32, i32) => Badf;
}
