//! The grants of a host to a guest that speaks WASI.

use std::path::PathBuf;

/// A directory of the host that a guest is granted, with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestDir {
    /// Its path on the host.
    pub host: PathBuf,
    /// Its path for the guest.
    pub guest: String,
    /// Whether the guest may only read in it.
    pub read_only: bool,
}

impl GuestDir {
    /// Creates the grant of a directory in which the guest may read and write.
    pub fn writable(host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        Self { host: host.into(), guest: guest.into(), read_only: false }
    }

    /// Creates the grant of a directory in which the guest may only read.
    pub fn read_only(host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        Self { host: host.into(), guest: guest.into(), read_only: true }
    }
}

/// Arguments, environment and directories for a guest that speaks WASI. Nothing is granted by
/// default.
///
/// Directories need a provider that has them, as those of `antiphon-wasmtime` and `antiphon-wasmi`.
#[derive(Debug, Default, Clone, Eq, PartialEq)]
#[must_use]
#[expect(clippy::exhaustive_structs, reason = "users of wapc 2.x build it with a struct expression")]
pub struct WasiParams {
    /// Command line arguments, the program's name first.
    pub argv: Vec<String>,
    /// Directories, as pairs of the guest's path and the host's: the name that `wapc` 2.x has for
    /// [`EngineOptions::dir`](crate::EngineOptions::dir).
    pub map_dirs: Vec<(String, String)>,
    /// Environment variables and their values.
    pub env_vars: Vec<(String, String)>,
    /// Directories that the guest sees under the host's path: the name that `wapc` 2.x has for
    /// [`EngineOptions::dir`](crate::EngineOptions::dir) with one path twice.
    pub preopened_dirs: Vec<String>,
}

impl WasiParams {
    /// Returns the directories of both fields.
    pub(super) fn dirs(&self) -> impl Iterator<Item = GuestDir> + '_ {
        let preopened = self.preopened_dirs.iter().map(|dir| GuestDir::writable(dir, dir));
        let mapped = self.map_dirs.iter().map(|(guest, host)| GuestDir::writable(host, guest));
        preopened.chain(mapped)
    }
}

/// The constructor of `wapc` 2.x.
impl WasiParams {
    /// Creates the grants from all four parts.
    pub fn new(
        argv: Vec<String>,
        map_dirs: Vec<(String, String)>,
        env_vars: Vec<(String, String)>,
        preopened_dirs: Vec<String>,
    ) -> Self {
        Self { argv, map_dirs, env_vars, preopened_dirs }
    }
}
