//! What every engine is told in the same words.

use std::time::Duration;

use antiphon::{Limits, WasiParams};

/// The options that all engines have in common. The defaults are those of each engine's own builder.
///
/// One set serves any number of modules and engines. An engine that lacks what is asked for refuses it as
/// [`ErrorKind::Unsupported`](antiphon::errors::ErrorKind::Unsupported) when it compiles a module, and never ignores it.
///
/// ```
/// use antiphon::Limits;
/// use antiphon_engines::EngineOptions;
///
/// let options = EngineOptions::new().limits(Limits::new().with_memory(8 << 20)).wasi(false);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EngineOptions {
    pub(crate) limits: Limits,
    pub(crate) wasi: bool,
    pub(crate) wasi_params: WasiParams,
    /// Pairs of the host's path and the guest's name for it.
    pub(crate) read_only_dirs: Vec<(String, String)>,
    pub(crate) cooperative: bool,
    /// The seed, and what the clock shows.
    pub(crate) deterministic: Option<(u64, Duration)>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            limits: Limits::new(),
            wasi: true,
            wasi_params: WasiParams::default(),
            read_only_dirs: Vec::new(),
            cooperative: true,
            deterministic: None,
        }
    }
}

impl EngineOptions {
    /// The defaults: safe limits, the sealed WASI world for guests that import it, nothing granted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits of the guest; where the host sets one too, the stricter holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether modules that import WASI are served at all. On by default: the sealed world grants clock and random only.
    pub fn wasi(mut self, wasi: bool) -> Self {
        self.wasi = wasi;
        self
    }

    /// Arguments, environment and directories for the guest. Directories need Wasmtime and the feature `wasi-fs`.
    pub fn wasi_params(mut self, wasi: WasiParams) -> Self {
        self.wasi_params = wasi;
        self
    }

    /// A directory of the host that the guest may only read, under the guest's name for it. Needs what directories in
    /// [`wasi_params`](Self::wasi_params) need.
    pub fn read_only_dir(mut self, host: impl Into<String>, guest: impl Into<String>) -> Self {
        self.read_only_dirs.push((host.into(), guest.into()));
        self
    }

    /// Whether an asynchronous guest gives way to its executor at each tick; on by default. Off is faster, for short
    /// calls of trusted guests: a guest that cannot wait then runs straight, on its executor's thread, to its end.
    pub fn cooperative(mut self, cooperative: bool) -> Self {
        self.cooperative = cooperative;
        self
    }

    /// Makes each run of a guest like every other: WASI's random bytes come from `seed`, its clock shows `clock`, a time
    /// since the Unix epoch, and NaNs are canonical, on every engine alike. Fuel takes the place of the default deadlines,
    /// [`Limits::DETERMINISTIC_FUEL`] unless the limits say otherwise; each engine counts it in units of its own.
    pub fn deterministic(mut self, seed: u64, clock: Duration) -> Self {
        self.deterministic = Some((seed, clock));
        self
    }

    /// Whether the guest is to have a directory of the host, of either kind.
    #[cfg(all(feature = "wasmtime", not(feature = "wasi-fs")))]
    pub(crate) fn grants_directories(&self) -> bool {
        let WasiParams { map_dirs, preopened_dirs, .. } = &self.wasi_params;
        !(map_dirs.is_empty() && preopened_dirs.is_empty() && self.read_only_dirs.is_empty())
    }
}
