//! Compiled code on disk: where it is kept, and whether a file is some.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use antiphon::errors::{Error, ErrorKind};
use antiphon_engines::{AnyEngine, CodeStore};

use crate::args::CacheArgs;
use crate::failure::Failure;

/// The cache for an engine: none for one that does not compile, or that has no place for one.
pub(super) fn store(args: &CacheArgs, engine: AnyEngine) -> Option<CodeStore> {
    if args.no_cache || !engine.keeps_code() {
        return None;
    }
    keys(engine, args.cache_dir.clone()).ok()
}

/// Where the key of artifacts is: in this directory, or in the user's own for caches.
pub(crate) fn keys(engine: AnyEngine, directory: Option<PathBuf>) -> Result<CodeStore, Error> {
    let directory = directory.or_else(|| CodeStore::default_directory(engine));
    // An engine that keeps no code says so first.
    let store = CodeStore::new(engine, directory.clone().unwrap_or_default())?;
    if directory.is_none() {
        let what = "no directory for the key of artifacts is known: name one with --cache-dir";
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    Ok(store)
}

/// What a command is given as a module.
#[derive(Clone, Debug)]
pub(crate) enum Module {
    /// A module in the binary or the text format.
    Bytes(Vec<u8>),
    /// A file of native code, which an engine reads by itself.
    Artifact(PathBuf),
}

/// What is said of native code where a module is needed.
pub(crate) fn already_compiled(path: &Path) -> Failure {
    let what = format!("{} is compiled already: name the module that it was made of", path.display());
    Error::new(ErrorKind::Unsupported, what).into()
}

/// Whether a file begins as native code does. No module does.
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
