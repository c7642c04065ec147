//! The directories of a world, which all of its instances share.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon::GuestDir;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::Access;
use crate::session::Session;

/// The directories that all instances of a world are granted. Each is opened once, for the first
/// instance. By its path, a guest could otherwise choose the next instance's directory: where one
/// grant lies within another, it could put a link in its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants(Arc<Mutex<Vec<Dir>>>);

impl Grants {
    /// Grants a new session the directories, which are those of each session of this world.
    ///
    /// # Errors
    ///
    /// Returns the directory that cannot be opened, and why.
    pub(crate) fn grant(
        &self,
        session: &mut Session,
        dirs: Vec<GuestDir>,
    ) -> Result<(), (PathBuf, io::Error)> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() != dirs.len() {
            open.clear();
            for GuestDir { host, .. } in &dirs {
                let dir = Dir::open_ambient_dir(host, ambient_authority());
                open.push(dir.map_err(|error| (host.clone(), error))?);
            }
        }
        for (dir, GuestDir { host, guest, read_only, .. }) in open.iter().zip(dirs) {
            let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
            let dir = dir.try_clone().map_err(|error| (host, error))?;
            session.grant_open(dir, guest, access);
        }
        Ok(())
    }
}
