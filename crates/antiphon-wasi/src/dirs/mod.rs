//! Directories of the host, for guests that are granted some.
//!
//! `cap-std` is the sandbox: it resolves each path below an open directory, and on Linux the kernel
//! does it in one step (`openat2`), so nothing that moves meanwhile leads out. This module decides
//! what is asked of it: which rights a guest has, which files are opened at all, and how much work
//! one call may cause.
//!
//! All work is done on the calling thread. Only regular files and directories are opened, because a
//! pipe or a device could hold that thread for as long as it likes.

mod attributes;
mod data;
mod errors;
#[cfg(feature = "antiphon")]
mod grants;
mod listing;
mod path;
mod path_open;
mod paths;
#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(not(unix), path = "system/other.rs")]
mod system;
mod table;
mod times;

use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

pub use self::data::MAX_TRANSFER;
#[cfg(feature = "antiphon")]
pub(crate) use self::errors::lacked;
#[cfg(feature = "antiphon")]
pub(crate) use self::grants::Grants;
pub use self::listing::{MAX_LISTED, MAX_SKIPPED};
pub use self::path::MAX_PATH;
pub(crate) use self::table::Directories;
pub use self::table::MAX_DESCRIPTORS;
use self::table::{Directory, Entry};
use crate::abi::{Errno, Failure};
use crate::call::Call;
use crate::session::Session;

/// What a guest may do in a directory that it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Access {
    /// Look at everything, change nothing.
    ReadOnly,
    /// Read, write, create, rename and remove.
    ReadWrite,
}

impl Access {
    /// Returns `EPERM` unless the guest may change something.
    fn for_writing(self) -> Result<(), Errno> {
        match self {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Errno::Perm),
        }
    }
}

impl Session {
    /// Opens a directory of the host, and grants it to the guest under the path `guest`. It gets
    /// the next descriptor, from 3 on, as a preopened directory.
    ///
    /// Grants are for a session whose guest has not run yet: a C library looks for preopened
    /// directories once.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be opened. (The guest's path is passed on as it is.)
    pub fn grant(
        &mut self,
        host: impl AsRef<Path>,
        guest: impl Into<String>,
        access: Access,
    ) -> io::Result<()> {
        let dir = Dir::open_ambient_dir(host, ambient_authority())?;
        self.grant_open(dir, guest.into(), access);
        Ok(())
    }

    fn grant_open(&mut self, dir: Dir, guest: String, access: Access) {
        let directory = Directory { name: Some(guest), ..Directory::new(dir, access) };
        self.dirs.get_or_insert_default().grant(Entry::Directory(directory));
    }
}

impl Call<'_> {
    /// Borrows the directories and the memory at once. A guest without directories has no
    /// descriptor that any function of this module could work on.
    fn split(&mut self) -> Result<(&mut Directories, &mut [u8]), Failure> {
        let dirs = self.session.dirs.as_deref_mut().ok_or(Errno::Badf)?;
        Ok((dirs, self.memory))
    }
}
