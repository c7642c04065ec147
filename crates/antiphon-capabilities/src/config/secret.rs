//! Secrets, which are shown nowhere by accident.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The largest secret, in bytes.
const LARGEST: u64 = 64 << 10;

/// A secret value. Neither `Debug` nor any error shows it.
///
/// ```
/// use antiphon_capabilities::Secret;
///
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert_eq!(secret.expose(), b"hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Bytes);

impl Secret {
    /// Creates a secret.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self(value.into())
    }

    /// Returns the value. Do not log it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a secret is read from. A configuration holds this instead of the secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written", rename_all = "lowercase")]
#[non_exhaustive]
pub enum SecretReference {
    /// The path of a file. One line break at its end is left out.
    File(PathBuf),
    /// The name of an environment variable.
    Env(String),
}

/// A reference as it is written. As an enum, a second key would not be seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: Option<PathBuf>,
    env: Option<String>,
}

impl TryFrom<Written> for SecretReference {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        match (written.file, written.env) {
            (Some(file), None) => Ok(Self::File(file)),
            (None, Some(name)) => Ok(Self::Env(name)),
            _ => Err("a secret has exactly one of file and env"),
        }
    }
}

/// Reads secrets. A function `Fn(&SecretReference) -> Result<Secret, String>` is one.
pub trait ReadSecret: Send + Sync {
    /// Reads a secret. Called when routes are made; it may block.
    ///
    /// # Errors
    /// Why it cannot be read, without any part of it.
    fn read(&self, reference: &SecretReference) -> Result<Secret, String>;
}

impl<F> ReadSecret for F
where
    F: Fn(&SecretReference) -> Result<Secret, String> + Send + Sync,
{
    fn read(&self, reference: &SecretReference) -> Result<Secret, String> {
        self(reference)
    }
}

/// Reads a secret of at most 64 KiB from its file or environment variable.
///
/// # Errors
/// It is not there, cannot be read, is empty, or is too large.
pub fn read_reference(reference: &SecretReference) -> Result<Secret, String> {
    let (place, value) = match reference {
        SecretReference::File(path) => {
            let place = format!("the file {}", path.display());
            let mut value = Vec::new();
            let read = std::fs::File::open(path)
                .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut value))
                .map_err(|error| format!("{place}: {error}"))?;
            if u64::try_from(read).is_ok_and(|read| read > LARGEST) {
                return Err(format!("{place} has more than {LARGEST} bytes"));
            }
            let end = value.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            let end = end.map_or(value.len(), <[u8]>::len);
            value.truncate(end);
            (place, value)
        }
        SecretReference::Env(name) => {
            let place = format!("the environment variable {name}");
            match std::env::var(name) {
                Ok(value) => (place, value.into_bytes()),
                Err(std::env::VarError::NotPresent) => return Err(format!("{place} is not set")),
                Err(std::env::VarError::NotUnicode(_)) => return Err(format!("{place} is not UTF-8")),
            }
        }
    };
    if value.is_empty() {
        return Err(format!("{place} is empty"));
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_without_its_last_line_break_and_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let reference = SecretReference::File(path.clone());
        for (text, value) in [("s3\n", "s3"), ("s3\r\n", "s3"), ("s3\n\n", "s3\n"), ("s\r", "s\r")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_reference(&reference), Ok(Secret::new(value)));
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(read_reference(&reference).unwrap_err().ends_with("is empty"));
        std::fs::write(&path, vec![b'x'; 65_537]).unwrap();
        assert!(read_reference(&reference).unwrap_err().ends_with("has more than 65536 bytes"));
        std::fs::remove_file(&path).unwrap();
        assert!(read_reference(&reference).unwrap_err().starts_with("the file "));
        let error = read_reference(&SecretReference::Env("ANTIPHON_NO_SUCH".into())).unwrap_err();
        assert_eq!(error, "the environment variable ANTIPHON_NO_SUCH is not set");
    }
}
