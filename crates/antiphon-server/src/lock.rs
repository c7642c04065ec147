//! The lock on the folder of the state: two servers cannot share it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// The lock on a folder, until it is dropped. The system releases it when the process ends, however
/// that happens.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "the system's lock is held by the open file")] File);

impl StateLock {
    /// Takes the lock, and makes the folder if it is not there.
    ///
    /// # Errors
    /// Another server has the lock ([`ResourceBusy`](io::ErrorKind::ResourceBusy)), or the folder
    /// cannot be made or written.
    pub fn take(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("lock");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // Only for those who read it: the lock is the system's.
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(32).read_to_string(&mut holder);
                let holder = match holder.trim().parse::<u32>() {
                    Ok(process) => format!("process {process}"),
                    Err(_) => "another server".to_owned(),
                };
                Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{holder} uses it")))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        let held = StateLock::take(&state).unwrap();
        let refused = StateLock::take(&state).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(refused.to_string(), format!("process {} uses it", std::process::id()));
        drop(held);
        StateLock::take(&state).unwrap();
    }
}
