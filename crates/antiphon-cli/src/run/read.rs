//! Reads files, without reading much past their limits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use antiphon::Limits;
use antiphon::errors::{Error, ErrorKind};

use super::code::{self, Module};
use crate::failure::Failure;

/// Reads a module. One over its limit is [`ErrorKind::InvalidModule`]. Of an artifact only the path
/// is kept, because its engine reads it.
pub(crate) fn read_module(path: &Path, limits: &Limits) -> Result<Module, Failure> {
    let limit = limits.module_or_default();
    let bytes = if is_input(path) {
        let bytes = read_input("module", limit)?;
        if bytes.as_ref().is_some_and(|bytes| code::is_native(bytes)) {
            // The seal is checked and the code is loaded through one open file.
            let error = io::Error::new(io::ErrorKind::InvalidInput, "an artifact is opened by its path");
            return Err(Failure::Usage("cannot read the module from standard input".to_owned(), error));
        }
        bytes
    } else if code::is_artifact(path) {
        return Ok(Module::Artifact(path.to_owned()));
    } else {
        read_file("module", path, limit)?
    };
    let bytes = bytes.ok_or_else(|| {
        let what = format!("module is over its limit of {limit} bytes; raise it with --module-size");
        Error::new(ErrorKind::InvalidModule, what)
    })?;
    Ok(Module::Bytes(bytes))
}

/// Returns whether a path stands for standard input.
pub(crate) fn is_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads standard input; `None` if it has more than `limit` bytes.
pub(super) fn read_input(what: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    bounded(io::stdin().lock(), limit)
        .map_err(|error| Failure::Usage(format!("cannot read the {what} from standard input"), error))
}

/// Reads a file of cases, which may be as large as a module.
pub(crate) fn read_cases(path: &Path) -> Result<String, Failure> {
    const WHAT: &str = "file of cases";
    let limit = Limits::new().module_or_default();
    let refused = |why: String| {
        let error = io::Error::new(io::ErrorKind::InvalidData, why);
        Failure::Usage(format!("cannot read the {WHAT} {}", path.display()), error)
    };
    let bytes = read_file(WHAT, path, limit)?
        .ok_or_else(|| refused(format!("it is over the limit of {limit} bytes")))?;
    String::from_utf8(bytes).map_err(|error| refused(error.to_string()))
}

/// Reads a file; `None` if it has more than `limit` bytes.
pub(crate) fn read_file(what: &str, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    File::open(path)
        .and_then(|file| bounded(file, limit))
        .map_err(|error| Failure::Usage(format!("cannot read the {what} {}", path.display()), error))
}

/// Reads a source to its end; `None` if it has more than `limit` bytes. At most `limit` + 1 bytes
/// are read.
fn bounded(source: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok((length <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_source_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(bounded(io::repeat(7), 1_000).unwrap(), None);
        assert_eq!(bounded([7; 1_000].as_slice(), 1_000).unwrap().unwrap().len(), 1_000);
        assert_eq!(bounded(io::empty(), 0).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let Err(Failure::Usage(text, error)) = read_module(Path::new("no/such.wasm"), &Limits::new()) else {
            panic!("a usage error")
        };
        assert_eq!(text, "cannot read the module no/such.wasm");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
