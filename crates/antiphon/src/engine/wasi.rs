//! The grants of a host to a guest that speaks WASI.

/// Arguments, environment and directories for a guest that speaks WASI. Nothing is granted by
/// default.
///
/// Directories need a provider that has them: feature `wasi-fs` of `antiphon-wasmtime`.
#[derive(Debug, Default, Clone, Eq, PartialEq)]
#[must_use]
#[expect(clippy::exhaustive_structs, reason = "users of wapc 2.x build it with a struct expression")]
pub struct WasiParams {
    /// Command line arguments, the program's name first.
    pub argv: Vec<String>,
    /// Directories, as pairs of the guest's name and the host's path.
    pub map_dirs: Vec<(String, String)>,
    /// Environment variables and their values.
    pub env_vars: Vec<(String, String)>,
    /// Directories that the guest sees under the host's path.
    pub preopened_dirs: Vec<String>,
}

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
