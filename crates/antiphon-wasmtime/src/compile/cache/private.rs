//! Files that belong to one user alone. Everything that is specific to one system is here.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::{error, fmt};

/// Makes a directory that only this user can enter, and its parents with usual permissions. If the
/// directory exists, it has to belong to this user, and no other user may write to it.
pub(super) fn directory(path: &Path) -> io::Result<()> {
    let create = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut builder = DirBuilder::new();
        system::close_directory(&mut builder);
        match builder.create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            created => created,
        }
    };
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create().map_err(|error| told(error, "cannot make the directory", path))?;
            fs::metadata(path)
        }
        found => found,
    };
    let found = found.map_err(|error| told(error, "cannot look at the directory", path))?;
    if !found.is_dir() {
        return Err(refused("is not a directory", path));
    }
    if system::others_may_change(&found) == Some(true) {
        return Err(refused("is another user's, or others may write to it: take it from them", path));
    }
    Ok(())
}

/// Creates a new file that only this user can read and write.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    system::close_file(&mut options);
    options.open(path)
}

/// Returns a name beside a file's own, for a new file that will replace it. No other process or
/// thread uses that name.
pub(super) fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.tmp", u64::from_le_bytes(random)));
    Ok(path.with_file_name(name))
}

/// Opens a file for reading. A pipe is opened without waiting for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    system::never_wait(&mut options);
    options.open(path)
}

/// Opens a file for a lock, and makes it if it is missing.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    system::close_file(&mut options);
    system::stay_and_never_wait(&mut options);
    options.open(path)
}

/// Opens a secret. It has to be a plain file of this user that no other user can read.
pub(super) fn open_secret(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Neither follows a link to another place nor waits for a pipe without a writer.
    system::stay_and_never_wait(&mut options);
    let file = options.open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(refused("is no plain file", path));
    }
    if system::others_may_read(&found) {
        return Err(refused(
            "is another user's, or others may read it: remove it, and a new one is made",
            path,
        ));
    }
    Ok(file)
}

/// Reads from an offset of an open file. Any number of threads may do so at once.
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    system::read_at(file, bytes, offset)
}

/// Returns whether no other user can change an open file while it is in use. If that cannot be
/// told, the answer is no.
pub(super) fn only_we_change(found: &Metadata) -> bool {
    system::others_may_change(found) == Some(false)
}

/// Wraps an error of the system with what failed, and where.
pub(super) fn told(source: io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(source.kind(), Told { what: format!("{what} {}", path.display()), source })
}

fn refused(what: &str, path: &Path) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, format!("{} {what}", path.display()))
}

#[derive(Debug)]
struct Told {
    what: String,
    source: io::Error,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl error::Error for Told {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};

    use rustix::fs::OFlags;

    pub(super) fn close_directory(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    pub(super) fn close_file(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn never_wait(options: &mut OpenOptions) {
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }

    pub(super) fn stay_and_never_wait(options: &mut OpenOptions) {
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }

    pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(bytes, offset)
    }

    fn is_ours(found: &Metadata) -> bool {
        found.uid() == rustix::process::geteuid().as_raw()
    }

    /// Returns whether another user may read the file. The group's bits also cover an access
    /// control list, if a file has one.
    pub(super) fn others_may_read(found: &Metadata) -> bool {
        !is_ours(found) || found.mode() & 0o077 != 0
    }

    pub(super) fn others_may_change(found: &Metadata) -> Option<bool> {
        Some(!is_ours(found) || found.mode() & 0o022 != 0)
    }
}

/// For systems whose permissions the standard library does not know. Files in a user's own
/// directories are assumed to belong to that user alone, and code is never loaded from its file.
#[cfg(not(unix))]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;

    pub(super) fn close_directory(_: &mut DirBuilder) {}

    pub(super) fn close_file(_: &mut OpenOptions) {}

    pub(super) fn never_wait(_: &mut OpenOptions) {}

    pub(super) fn stay_and_never_wait(_: &mut OpenOptions) {}

    pub(super) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn others_may_read(_: &Metadata) -> bool {
        false
    }

    pub(super) fn others_may_change(_: &Metadata) -> Option<bool> {
        None
    }
}

/// Other things that a directory may hold where a file is expected.
#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use crate::compile::cache::disk::{DiskStore, Put};

    fn name(number: u8) -> String {
        format!("{number:064x}")
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_and_a_lock_that_leads_elsewhere_are_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, elsewhere) = (DiskStore::new(directory.path()), directory.path().join("elsewhere"));
        let pipe = |path: PathBuf| {
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        pipe(directory.path().join(format!("{}.sealed", name(1))));
        let file = disk.get(&name(1)).unwrap().unwrap();
        assert!(!file.metadata().unwrap().is_file());

        let lock = pipe(directory.path().join("lock"));
        assert!(disk.put(&name(2), [b"a", b"b"], 10).is_err());
        fs::remove_file(&lock).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &lock).unwrap();
        assert!(disk.put(&name(2), [b"a", b"b"], 10).is_err());
        assert!(!elsewhere.exists());
        fs::remove_file(&lock).unwrap();
        assert_eq!(disk.put(&name(2), [b"a", b"b"], 10).unwrap(), Put::Kept { evicted: 0 });
    }
}
