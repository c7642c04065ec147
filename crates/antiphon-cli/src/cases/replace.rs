//! Replaces the content of a file, whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// How many temporary names are tried. A killed run with this process id may have left some of them
/// taken.
const NAMES: u32 = 100;

/// Replaces the content of an existing file, or leaves it as it was if that fails: the bytes are
/// written to a new file beside it, which is then renamed over it. Permissions stay. A link stays,
/// and the file that it points to is replaced. What is not a regular file, such as a pipe, is
/// written to directly.
///
/// # Errors
///
/// Errors of the system. A file that the user may not write is an error too, even if the directory
/// would permit the rename.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return fs::write(path, bytes);
    }
    let path = fs::canonicalize(path)?;
    let before = File::options().write(true).open(&path)?.metadata()?;
    let (beside, file) = beside(&path)?;
    let written = fill(file, &before, bytes);
    put(&beside, &path, written)
}

/// Writes a file like [`replace`], and also creates it if it does not exist. Where renaming is
/// impossible, it writes to the file directly: at a mount point, in a directory that the user may
/// not write to, or through a link to a missing file.
///
/// # Errors
///
/// Errors of the system.
pub(crate) fn replace_or_create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match replace(path, bytes) {
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            let (beside, mut file) = beside(path)?;
            let written = file.write_all(bytes).and_then(|()| file.sync_all());
            put(&beside, path, written)
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ResourceBusy | ErrorKind::PermissionDenied => {
                fs::write(path, bytes)
            }
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// Renames the new file into place, or removes it if writing or renaming failed.
fn put(beside: &Path, path: &Path, written: io::Result<()>) -> io::Result<()> {
    let placed = written.and_then(|()| fs::rename(beside, path));
    if placed.is_err() {
        // The first error is returned; this one would only hide it.
        let _ = fs::remove_file(beside);
    }
    placed
}

/// Creates a new file in the directory of `path`, and so on the same disk, as a rename needs.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or(OsStr::new("file"));
    let mut taken = io::Error::from(ErrorKind::AlreadyExists);
    for number in 0..NAMES {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}.new", process::id()));
        let beside = path.with_file_name(hidden);
        match File::options().write(true).create_new(true).open(&beside) {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

fn fill(mut file: File, before: &Metadata, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Keep the owner and group if permitted, or at least the group. Only a privileged user can
        // give a file away, and only members of a group can assign it.
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()))
            .or_else(|_| fchown(&file, None, Some(before.gid())));
    }
    file.set_permissions(before.permissions())?;
    file.write_all(bytes)?;
    // Otherwise the rename might reach the disk before the bytes do.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the file names in a directory.
    fn names(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn who_reads_the_old_file_meanwhile_reads_all_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "old and long").unwrap();
        let old = File::open(&path).unwrap();
        // The leftover of a killed run that had this process's id.
        fs::write(directory.path().join(format!(".file.{}-0.new", process::id())), "half").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(io::read_to_string(old).unwrap(), "old and long");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(directory.path()).len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_and_a_link_stays_one() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let (path, link) = (elsewhere.join("file"), directory.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        symlink("elsewhere/file", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("elsewhere/file"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o604);
        assert_eq!(names(&elsewhere), ["file"]);
    }

    #[test]
    fn what_is_not_there_is_not_made_unless_it_is_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let error = replace(&path, b"new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(names(directory.path()), [""; 0]);

        replace_or_create(&path, b"new and long").unwrap();
        let old = File::open(&path).unwrap();
        replace_or_create(&path, b"newer").unwrap();
        assert_eq!(io::read_to_string(old).unwrap(), "new and long");
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
        assert_eq!(names(directory.path()), ["file"]);
        let error = replace_or_create(&directory.path().join("nowhere/file"), b"new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_could_not_be_written_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let (beside, _) = beside(&path).unwrap();
        let full = Err(ErrorKind::StorageFull.into());
        assert_eq!(put(&beside, &path, full).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace_or_create(&link, b"new").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("file"));
        assert_eq!(fs::read_to_string(directory.path().join("file")).unwrap(), "new");
    }
}
