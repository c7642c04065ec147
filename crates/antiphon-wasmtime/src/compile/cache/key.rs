//! The secret that native code is sealed with.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use super::private::{self, told};

/// The file of the key in its directory.
const FILE: &str = "key";

/// Bytes of a key.
const LENGTH: usize = 32;

/// The secret that seals native code: who has it can make this program run anything.
///
/// It is a file, `key`, in a directory of one user, made at random when it is first needed, and readable by that user
/// alone. What was sealed with one key is worthless with another: to remove the file is to invalidate all that it sealed.
#[derive(Clone)]
pub struct SealKey([u8; LENGTH]);

impl SealKey {
    /// The key of a directory, both of which are made if they are missing. Processes that make one at once agree on it.
    ///
    /// # Errors
    /// The directory is another user's or others may write to it; the key is no plain file of 32 bytes, is another
    /// user's, or others may read it; or the system refuses.
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
        // What is in the file is never a key itself, so that whatever else it may be used for tells nothing of seals.
        Ok(Self(blake3::derive_key("antiphon 2026 seal of native code", &secret)))
    }

    /// The key of a hash that only who has it can make.
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

/// Makes the key under another name and links it to its own, which is done by one process and once: nobody ever reads
/// half a key, or one that another process then replaces.
fn make(path: &Path) -> io::Result<()> {
    let mut secret = [0; LENGTH];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = private::beside(path)?;
    let written = private::create(&temporary).and_then(|mut file| {
        file.write_all(&secret)?;
        // An empty file under the key's name would outlive a crash of the machine.
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    // It may never have been there.
    let _ = fs::remove_file(&temporary);
    written
}
