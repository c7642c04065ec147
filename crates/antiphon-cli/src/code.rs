//! Compiled code on disk: where it is kept, and how to recognise a file of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use antiphon::errors::{Error, ErrorKind};
use antiphon_engines::{AnyEngine, CodeStore};
use clap::Args;

use crate::failure::Failure;

/// Options of the cache of compiled modules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache of compiled modules")]
pub(crate) struct CacheArgs {
    /// Compile the module even if its code is cached, and do not cache the result
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Directory of compiled modules and of the key that seals them; by default the user's cache
    /// directory
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// Turns the cache off.
    pub(crate) const fn none() -> Self {
        Self { no_cache: true, cache_dir: None }
    }

    /// The cache for an engine. `None` if the engine does not compile, or if no directory for the
    /// cache is known.
    pub(crate) fn store(&self, engine: AnyEngine) -> Option<CodeStore> {
        if self.no_cache || !engine.keeps_code() {
            return None;
        }
        keys(engine, self.cache_dir.clone()).ok()
    }
}

/// The store that holds the key of artifacts: in the given directory, or in the user's cache
/// directory.
pub(crate) fn keys(engine: AnyEngine, directory: Option<PathBuf>) -> Result<CodeStore, Error> {
    let directory = directory.or_else(|| CodeStore::default_directory(engine));
    // Before the check below, so that an engine that keeps no code reports that, and not a missing
    // directory.
    let store = CodeStore::new(engine, directory.clone().unwrap_or_default())?;
    if directory.is_none() {
        let what = "the directory for the key of artifacts is unknown; give one with --cache-dir";
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    Ok(store)
}

/// What the MODULE argument names.
#[derive(Clone, Debug)]
pub(crate) enum Module {
    /// The bytes of a module, in binary or text format.
    Bytes(Vec<u8>),
    /// The path of an artifact, which its engine reads by itself.
    Artifact(PathBuf),
}

/// The failure for an artifact where a command needs a module.
pub(crate) fn already_compiled(path: &Path) -> Failure {
    let what = format!("{} is already compiled; give the module that it was compiled from", path.display());
    Error::new(ErrorKind::Unsupported, what).into()
}

/// Whether a file begins with the magic bytes of native code, which no module begins with.
pub(crate) fn is_artifact(path: &Path) -> bool {
    let mut magic = [0; 4];
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    is_file
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_code_is_told_from_a_module_by_its_first_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (bytes, expected) in [
            (b"\x7fELF and more".as_slice(), true),
            (b"\0asm\x01\0\0\0", false),
            (b"(mo", false),
            (b"", false),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(is_artifact(&path), expected, "{bytes:?}");
        }
        assert!(!is_artifact(directory.path()) && !is_artifact(&directory.path().join("none")));
    }
}
