//! What outlives the server: for each module a record of what it should be, and the bytes of the
//! versions that are named in it.
//!
//! A file is written whole under another name, and then renamed, so that a crash leaves the old one
//! or the new one.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::desired::{Desired, Digest, Id};
use crate::settings::{Settings, check_name};

/// What is kept of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: Arc<str>,
    pub(crate) revision: u64,
    /// Whether the newest change came from an operator or a rule.
    pub(crate) by_operator: bool,
    pub(crate) note: Option<Arc<str>>,
    /// The digest that the module's file had at the newest change. Only a file that differs from it
    /// changes the module again.
    pub(crate) file: Option<Digest>,
    /// Whether an operator has removed the module.
    pub(crate) removed: bool,
    /// Versions whose settings come from an operator, and not from the configuration.
    pub(crate) own: BTreeSet<Id>,
    pub(crate) desired: Desired,
    /// The settings of the versions that are named in `desired`.
    pub(crate) settings: Vec<(Id, Settings)>,
}

/// Where records and bytes are kept.
#[derive(Debug, Default)]
pub(crate) struct Store {
    place: Place,
    /// Bytes that are being deployed, and are in no record yet.
    pinned: Mutex<HashMap<Digest, usize>>,
    written: AtomicU64,
}

#[derive(Debug)]
enum Place {
    /// For tests, and for servers without a directory: nothing outlives the process.
    Memory(Mutex<HashMap<Digest, Bytes>>),
    Folder(PathBuf),
}

impl Default for Place {
    fn default() -> Self {
        Self::Memory(Mutex::default())
    }
}

/// Keeps bytes from being swept away until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin(Arc<Store>, Digest);

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.0.pinned();
        if let Some(count) = pinned.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                pinned.remove(&self.1);
            }
        }
    }
}

/// All methods block: they are called off the executor's threads.
impl Store {
    /// Opens a directory, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        for part in ["modules", "bytes"] {
            fs::create_dir_all(folder.join(part)).map_err(|error| named(&folder.join(part), &error))?;
        }
        let store = Self { place: Place::Folder(folder.to_owned()), ..Self::default() };
        for part in ["modules", "bytes"] {
            // What a crash has left half written.
            for path in fs::read_dir(folder.join(part))?.flatten().map(|entry| entry.path()) {
                if path.extension().is_some_and(|extension| extension == "part") {
                    let _ = fs::remove_file(path);
                }
            }
        }
        // Shows now, and not at the first deploy, that the directory can be written.
        let probe = folder.join("modules").join(".probe");
        store.write_whole(&probe, b"")?;
        fs::remove_file(&probe).map_err(|error| named(&probe, &error))?;
        Ok(store)
    }

    /// Returns the directory for compiled code.
    pub(crate) fn code(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Memory(_) => None,
            Place::Folder(folder) => Some(folder.join("code")),
        }
    }

    /// Keeps bytes, at least as long as the pin lives.
    pub(crate) fn put(self: &Arc<Self>, digest: Digest, bytes: &Bytes) -> io::Result<Pin> {
        let pin = self.pin(digest);
        match &self.place {
            Place::Memory(known) => {
                lock(known).insert(digest, bytes.clone());
            }
            Place::Folder(folder) => {
                let path = path_of(folder, digest);
                // A file of another length was damaged after it was written.
                let is_there =
                    fs::metadata(&path).is_ok_and(|known| usize::try_from(known.len()) == Ok(bytes.len()));
                if !is_there {
                    self.write_whole(&path, bytes)?;
                }
            }
        }
        Ok(pin)
    }

    fn pin(self: &Arc<Self>, digest: Digest) -> Pin {
        let mut pinned = self.pinned();
        let count = pinned.entry(digest).or_default();
        *count = count.saturating_add(1);
        Pin(Arc::clone(self), digest)
    }

    /// Returns bytes that were kept.
    ///
    /// # Errors
    /// They are not there, or are damaged ([`io::ErrorKind::InvalidData`]).
    pub(crate) fn get(&self, digest: Digest) -> io::Result<Bytes> {
        let path = match &self.place {
            Place::Memory(known) => {
                let known = lock(known).get(&digest).cloned();
                return known.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
            }
            Place::Folder(folder) => path_of(folder, digest),
        };
        let bytes = Bytes::from(fs::read(&path).map_err(|error| named(&path, &error))?);
        if Digest::of(&bytes) != digest {
            // Out of the way, so that the next deploy of these bytes writes them again.
            let _ = fs::remove_file(&path);
            let what = format!("{} was damaged, and is removed", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(bytes)
    }

    /// Returns all records. One that cannot be read is set aside, with a warning: its module then
    /// begins with its file.
    pub(crate) fn records(&self) -> io::Result<Vec<Record>> {
        let Place::Folder(folder) = &self.place else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        for entry in fs::read_dir(folder.join("modules"))? {
            let path = entry?.path();
            let is_record = path.extension().is_some_and(|extension| extension == "json");
            if !is_record {
                continue;
            }
            let read = fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Record>(&text)?));
            match read {
                Ok(record) if check_name(&record.name).is_ok() => records.push(record),
                other => {
                    let reason = other.err().map(|error| error.to_string());
                    let aside = path.with_extension("unreadable");
                    tracing::warn!(target: "antiphon::server", path = %path.display(), reason, "a record of a module cannot be read, and is renamed");
                    let _ = fs::rename(&path, &aside);
                }
            }
        }
        Ok(records)
    }

    /// Keeps a record in place of the one before.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let Place::Folder(folder) = &self.place else { return Ok(()) };
        let path = folder.join("modules").join(format!("{}.json", record.name));
        self.write_whole(&path, &serde_json::to_vec_pretty(record)?)
    }

    /// Forgets the record of a module.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        let Place::Folder(folder) = &self.place else { return Ok(()) };
        let path = folder.join("modules").join(format!("{name}.json"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Removes all bytes that no record names, and that are not being deployed.
    pub(crate) fn sweep(&self, named: impl FnOnce() -> BTreeSet<Digest>) {
        let pinned = self.pinned();
        // Asked only now: bytes whose pin was dropped before are in a record by now.
        let named = named();
        let is_kept = |digest: &Digest| named.contains(digest) || pinned.contains_key(digest);
        match &self.place {
            Place::Memory(known) => lock(known).retain(|digest, _| is_kept(digest)),
            Place::Folder(folder) => {
                let Ok(entries) = fs::read_dir(folder.join("bytes")) else { return };
                for path in entries.flatten().map(|entry| entry.path()) {
                    let digest = path.file_stem().and_then(|stem| {
                        stem.to_str()?.strip_prefix("sha256-").map(|hex| format!("sha256:{hex}"))
                    });
                    let digest = digest.and_then(|text| text.parse().ok());
                    if digest.is_some_and(|digest| !is_kept(&digest)) {
                        let _ = fs::remove_file(path);
                    }
                }
            }
        }
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let aside = path.with_extension(format!("{}-{number}.part", std::process::id()));
        let written = File::create(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, path)
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&aside);
            return Err(named(path, &error));
        }
        // The name outlives a crash only when the directory is written too. Not every system can.
        if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn pinned(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        lock(&self.pinned)
    }
}

fn path_of(folder: &Path, digest: Digest) -> PathBuf {
    folder.join("bytes").join(format!("sha256-{}.wasm", digest.hex()))
}

/// Adds a path to an error, which has none.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        let id = Id { digest: Digest::of(b"a"), settings: 1 };
        Record {
            name: name.into(),
            revision: 7,
            by_operator: true,
            note: Some("why".into()),
            file: Some(Digest::of(b"b")),
            removed: false,
            own: [id].into(),
            desired: Desired { serve: Some(id), good: Some(id), ..Desired::default() },
            settings: vec![(id, Settings { per_call: true, ..Settings::default() })],
        }
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let bytes = Bytes::from_static(b"a");
        drop(store.put(Digest::of(b"a"), &bytes).unwrap());
        store.write(&record("x.y")).unwrap();
        store.write(&record("gone")).unwrap();
        store.forget("gone").unwrap();
        store.forget("never").unwrap();

        let store = Arc::new(Store::open(folder.path()).unwrap());
        assert_eq!(store.records().unwrap(), [record("x.y")]);
        assert_eq!(store.get(Digest::of(b"a")).unwrap(), bytes);
        assert_eq!(store.get(Digest::of(b"b")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn damage_is_noticed_and_is_no_more_than_its_modules() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let (digest, bytes) = (Digest::of(b"abc"), Bytes::from_static(b"abc"));
        drop(store.put(digest, &bytes).unwrap());
        fs::write(path_of(folder.path(), digest), b"abx").unwrap();
        assert_eq!(store.get(digest).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(store.put(digest, &bytes).unwrap());
        assert_eq!(store.get(digest).unwrap(), bytes);

        store.write(&record("good")).unwrap();
        fs::write(folder.path().join("modules/cut.json"), b"{\"name\": \"cu").unwrap();
        fs::write(folder.path().join("modules/half.json.1-1.part"), b"{").unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.records().unwrap(), [record("good")]);
        assert!(folder.path().join("modules/cut.unreadable").exists());
        assert!(!folder.path().join("modules/half.json.1-1.part").exists());
    }

    #[test]
    fn only_bytes_that_no_record_names_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        for store in [Store::open(folder.path()).unwrap(), Store::default()] {
            let store = Arc::new(store);
            let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| Digest::of(bytes));
            drop(store.put(a, &Bytes::from_static(b"a")).unwrap());
            let pin = store.put(b, &Bytes::from_static(b"b")).unwrap();
            let other = store.put(b, &Bytes::from_static(b"b")).unwrap();
            drop(store.put(c, &Bytes::from_static(b"c")).unwrap());
            drop(other);
            store.sweep(|| [a].into());
            assert!(store.get(a).is_ok() && store.get(b).is_ok() && store.get(c).is_err());
            drop(pin);
            store.sweep(|| [a].into());
            assert!(store.get(a).is_ok() && store.get(b).is_err());
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Store::open(&file).unwrap_err();
        assert!(error.to_string().contains("file/modules"), "{error}");
    }
}
