//! Paths, as guests pass them.

use std::path::Path;

use crate::abi::memory::{self, wide};
use crate::abi::{Errno, Failure};

/// The longest path, and the longest target of a symbolic link, in bytes. A longer one is refused
/// with `ENAMETOOLONG`. It is Linux's own limit, without the NUL.
pub const MAX_PATH: usize = 4095;

/// A path in the guest's memory: pointer and length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text(pub(super) i32, pub(super) i32);

impl Text {
    /// Returns the path. `ENAMETOOLONG` if it is too long, `EINVAL` if a NUL is in it, `EILSEQ` if
    /// it is not UTF-8.
    pub(super) fn read(self, guest: &[u8]) -> Result<&Path, Failure> {
        let bytes = memory::view(guest, wide(self.0), wide(self.1))?;
        if bytes.len() > MAX_PATH {
            return Err(Errno::Nametoolong.into());
        }
        if bytes.contains(&0) {
            return Err(Errno::Inval.into());
        }
        Ok(Path::new(std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?))
    }
}

/// Returns whether a path that ends in a symbolic link leads to the link's target, as `lookupflags`
/// say.
pub(super) fn follows(lookup: i32) -> Result<bool, Errno> {
    match lookup {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::Inval),
    }
}
