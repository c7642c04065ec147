//! The files of a cache. A file appears whole or not at all, and all files together keep within
//! their room, for any number of processes.
//!
//! A file is written under another name and renamed, under a lock that is waited for at most a
//! second. So a crash leaves a file that the next writer removes. Reading needs no lock. The
//! modification times of the files say which were used last, and all processes share them.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::private;

/// The file that a process locks while it changes the directory.
const LOCK: &str = "lock";
/// The extension of sealed code.
const SEALED: &str = "sealed";
/// The extension of files that are not complete yet.
const TEMPORARY: &str = "tmp";
/// How often a process tries to take the lock, and the pause between two tries. After a second in
/// all, nothing is stored.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// A directory of sealed code.
#[derive(Debug)]
pub(super) struct DiskStore {
    directory: PathBuf,
}

/// What was done to store a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// The file is stored; this many others were removed.
    Kept { evicted: u64 },
    /// The file alone takes more room than there is.
    TooLarge,
}

impl DiskStore {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens a file, if it exists.
    pub(super) fn get(&self, name: &str) -> io::Result<Option<File>> {
        match private::open(&self.path(name, SEALED)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes that a file was just used. If that fails, the file is evicted sooner.
    pub(super) fn touch(file: &File) {
        let _ = file.set_modified(SystemTime::now());
    }

    /// Stores pieces as a file of this name. First removes the least recently used files until
    /// everything fits into `room` bytes.
    pub(super) fn put(&self, name: &str, pieces: [&[u8]; 2], room: u64) -> io::Result<Put> {
        let size = pieces.iter().fold(0_u64, |sum, piece| sum.saturating_add(length(piece)));
        let Some(room) = room.checked_sub(size) else { return Ok(Put::TooLarge) };
        let _lock = self.lock()?;
        let evicted = self.make_room(name, room)?;
        let temporary = self.path(name, TEMPORARY);
        let written = private::create(&temporary).and_then(|mut file| {
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            // Set by the same clock as a later use.
            Self::touch(&file);
            fs::rename(&temporary, self.path(name, SEALED))
        });
        if written.is_err() {
            // The temporary file may not exist. If it stays, the next writer removes it.
            let _ = fs::remove_file(&temporary);
        }
        written.map(|()| Put::Kept { evicted })
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.directory.join(format!("{name}.{extension}"))
    }

    /// Waits for other processes that change the directory, but not forever, because one of them
    /// may be stopped.
    fn lock(&self) -> io::Result<File> {
        let file = private::open_lock(&self.directory.join(LOCK))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::TimedOut, "another process has held its lock for too long"))
    }

    /// Removes what a crash has left, and then the least recently used files, until all files but
    /// the one of this name fit. Called with the lock held, so no other process writes.
    fn make_room(&self, replaced: &str, room: u64) -> io::Result<u64> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let path = entry.path();
            let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            let ours = path.file_stem().and_then(OsStr::to_str).is_some_and(is_name);
            match extension {
                TEMPORARY if ours => remove(&path)?,
                SEALED if ours && path.file_stem() != Some(OsStr::new(replaced)) => {
                    let found = entry.metadata()?;
                    let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    kept.push((used, found.len(), path));
                }
                _ => {}
            }
        }
        kept.sort();
        let mut total = kept.iter().fold(0_u64, |sum, (_, size, _)| sum.saturating_add(*size));
        let mut evicted = 0_u64;
        for (_, size, path) in kept {
            if total <= room {
                break;
            }
            remove(&path)?;
            total = total.saturating_sub(size);
            evicted = evicted.saturating_add(1);
        }
        Ok(evicted)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Returns whether a cache gives files this name: a digest in hexadecimal. Other files in the
/// directory are left alone.
fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn length(bytes: &[u8]) -> u64 {
    // No machine has more bytes than that.
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> String {
        format!("{number:064x}")
    }

    fn put(disk: &DiskStore, number: u8, size: usize, room: u64) -> Put {
        let bytes = vec![number; size];
        let (front, back) = bytes.split_at(size / 2);
        disk.put(&name(number), [front, back], room).unwrap()
    }

    fn there(disk: &DiskStore) -> Vec<u8> {
        (0..=u8::MAX).filter(|number| disk.get(&name(*number)).unwrap().is_some()).collect()
    }

    #[test]
    fn the_least_recently_used_go_first_and_what_fits_stays() {
        let directory = tempfile::tempdir().unwrap();
        let disk = DiskStore::new(directory.path());
        for number in 1..=4 {
            assert_eq!(put(&disk, number, 100, 400), Put::Kept { evicted: 0 });
            thread::sleep(Duration::from_millis(2));
        }
        // The oldest file is used again.
        DiskStore::touch(&disk.get(&name(1)).unwrap().unwrap());
        assert_eq!(put(&disk, 5, 150, 400), Put::Kept { evicted: 2 });
        assert_eq!(there(&disk), [1, 4, 5]);
        // A file that is replaced does not count twice.
        assert_eq!(put(&disk, 5, 200, 400), Put::Kept { evicted: 0 });
        assert_eq!(there(&disk), [1, 4, 5]);
        assert_eq!(put(&disk, 6, 401, 400), Put::TooLarge);
        assert_eq!(put(&disk, 6, 400, 400), Put::Kept { evicted: 3 });
        assert_eq!(there(&disk), [6]);
    }

    #[test]
    fn what_a_crash_has_left_goes_and_what_is_not_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        let disk = DiskStore::new(directory.path());
        let left = directory.path().join(format!("{}.tmp", name(9)));
        let foreign = ["key", "notes.sealed", "x.tmp"].map(|name| directory.path().join(name));
        for path in foreign.iter().chain([&left]) {
            fs::write(path, [0; 1_000]).unwrap();
        }
        assert_eq!(put(&disk, 1, 10, 10), Put::Kept { evicted: 0 });
        assert!(!left.exists());
        assert!(foreign.iter().all(|path| path.exists()));
    }

    #[test]
    fn a_lock_that_nobody_gives_back_is_not_waited_for_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let disk = DiskStore::new(directory.path());
        let held = disk.lock().unwrap();
        let error = disk.put(&name(1), [b"a", b"b"], 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(held);
        // A process that another test has just started holds a copy of the lock's file until its
        // program is loaded.
        let kept = (0..60).find_map(|_| disk.put(&name(1), [b"a", b"b"], 10).ok());
        assert_eq!(kept, Some(Put::Kept { evicted: 0 }));
    }
}
