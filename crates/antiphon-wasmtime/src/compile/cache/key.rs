//! The secret that native code is sealed with.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use super::private::{self, told};

/// The name of the key's file in its directory.
const FILE: &str = "key";

/// The length of a key in bytes.
const LENGTH: usize = 32;

/// The secret that seals native code. A holder of this key can make this program run any code.
///
/// The key is a file, `key`, in a directory of one user. It is made at random when it is first
/// needed, and only that user can read it. Code that was sealed with one key cannot be loaded with
/// another, so removing the file invalidates everything that it sealed.
#[derive(Clone)]
pub struct SealKey([u8; LENGTH]);

impl SealKey {
    /// Opens the key of a directory. Makes the directory and the key if they are missing. Processes
    /// that make a key at the same time agree on one.
    ///
    /// # Errors
    /// Fails if the directory belongs to another user or others may write to it; if the key is not
    /// a plain file of 32 bytes, belongs to another user, or others may read it; or if the system
    /// refuses.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        let directory = directory.as_ref();
        private::directory(directory)?;
        let path = directory.join(FILE);
        let secret = match read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make(&path).map_err(|error| told(error, "cannot make the key", &path))?;
                read(&path)
            }
            secret => secret,
        };
        let secret = secret.map_err(|error| told(error, "cannot use the key", &path))?;
        // The contents of the file are never used as a key directly. So no other use of them
        // reveals anything about seals.
        Ok(Self(blake3::derive_key("antiphon 2026 seal of native code", &secret)))
    }

    /// Returns the key of the keyed hash, which only its holder can compute.
    pub(super) fn secret(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

fn read(path: &Path) -> io::Result<[u8; LENGTH]> {
    let file = private::open_secret(path)?;
    let mut bytes = Vec::new();
    file.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| {
        let what = format!("not a key of {LENGTH} bytes: remove it, and a new one is made");
        io::Error::new(ErrorKind::InvalidData, what)
    })
}

/// Writes the key under a temporary name and links it to its own name, which succeeds for one
/// process and once. So no process ever reads half a key, or a key that another process then
/// replaces.
fn make(path: &Path) -> io::Result<()> {
    let mut secret = [0; LENGTH];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = private::beside(path)?;
    let written = private::create(&temporary).and_then(|mut file| {
        file.write_all(&secret)?;
        // Otherwise a crash of the machine could leave an empty file under the key's name.
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    // The temporary file may not exist.
    let _ = fs::remove_file(&temporary);
    written
}
