//! Writing a file anew, whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// What a run that was killed may have left behind is in nobody's way: so many names are tried.
const NAMES: u32 = 100;

/// Gives a file that is there other bytes, or leaves it as it was: they are written beside it first. Its permissions stay; a
/// link stays one, and what it points to is written. What is no file, such as a pipe, is written into.
///
/// # Errors
///
/// Those of the system; where the user may not write into the file, too, although another one could be put in its place.
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

/// The same, also where there is no file yet, or where no other one can be put in its place: at a mount point, in a directory of
/// somebody else's, behind a link to nothing. That is written into.
///
/// # Errors
///
/// Those of the system.
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

/// Puts what was written beside a file in its place, or away.
fn put(beside: &Path, path: &Path, written: io::Result<()>) -> io::Result<()> {
    let placed = written.and_then(|()| fs::rename(beside, path));
    if placed.is_err() {
        // There is an error to tell already.
        let _ = fs::remove_file(beside);
    }
    placed
}

/// A new file in the same directory, and so on the same disk.
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
        // A file of somebody else can only be given back by who may do so, and its group be kept by who is in it.
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()))
            .or_else(|_| fchown(&file, None, Some(before.gid())));
    }
    file.set_permissions(before.permissions())?;
    file.write_all(bytes)?;
    // Else the name may get to the disk before the bytes do.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a directory.
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
        // As a run would leave it that had this one's number and was killed.
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
