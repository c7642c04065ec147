//! Compiled code on disk: where it is kept, and how to recognise a file of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use antiphon::errors::{Error, ErrorKind};
use antiphon_host::{EngineKind, ModuleBuilder};

use crate::args::CacheArgs;
use crate::failure::Failure;

/// Returns the directory of an engine's cache. `None` if the engine does not compile, or if no
/// directory for the cache is known.
pub(super) fn cache_dir(args: &CacheArgs, engine: EngineKind) -> Option<PathBuf> {
    if args.no_cache || !engine.keeps_code() {
        return None;
    }
    args.cache_dir.clone().or_else(|| engine.default_cache_dir())
}

/// Gives a builder the directory that holds the key of artifacts: the one from the command line, or
/// the user's cache directory.
pub(crate) fn with_keys(
    builder: ModuleBuilder,
    engine: EngineKind,
    directory: Option<PathBuf>,
) -> Result<ModuleBuilder, Error> {
    if !engine.keeps_code() {
        let what = format!(
            "{engine} keeps no compiled code: it runs modules as they are, so it takes the module itself and no artifact"
        );
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    match directory.or_else(|| engine.default_cache_dir()) {
        Some(directory) => Ok(builder.cache_dir(directory)),
        None => {
            let what = "the directory for the key of artifacts is unknown; give one with --cache-dir";
            Err(Error::new(ErrorKind::Unsupported, what))
        }
    }
}

/// What the MODULE argument names.
#[derive(Clone, Debug)]
pub(crate) enum Module {
    /// The bytes of a module, in binary or text format.
    Bytes(Vec<u8>),
    /// The path of an artifact, which its engine reads by itself.
    Artifact(PathBuf),
}

/// Returns the failure for an artifact where a command needs a module.
pub(crate) fn already_compiled(path: &Path) -> Failure {
    let what = format!("{} is already compiled; give the module that it was compiled from", path.display());
    Error::new(ErrorKind::Unsupported, what).into()
}

/// Returns whether a file begins with the magic bytes of native code, which no module begins with.
pub(crate) fn is_artifact(path: &Path) -> bool {
    let mut magic = [0; 4];
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    is_file && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && is_native(&magic)
}

/// Returns whether bytes begin as native code does.
pub(super) fn is_native(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
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
