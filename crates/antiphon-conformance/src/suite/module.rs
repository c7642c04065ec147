//! What a provider is asked to run.

use std::time::Duration;

use antiphon::{Isolation, Limits, WasiParams};

/// A module, and how the provider has to be built for it.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) bytes: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) wasi: bool,
    pub(crate) wasi_params: WasiParams,
    pub(crate) cooperative: bool,
    pub(crate) isolation: Isolation,
    pub(crate) deterministic: Option<(u64, Duration)>,
}

impl Module {
    /// The module in the binary format; some are malformed on purpose.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The limits to build the provider with. The host is given the same ones, so that a provider without limits of
    /// its own, which takes those of the state, passes too.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether WASI is to be had; true but where a case is about its refusal.
    #[must_use]
    pub fn wasi(&self) -> bool {
        self.wasi
    }

    /// Arguments and environment for WASI; empty but where a case is about them. No case asks for directories.
    pub fn wasi_params(&self) -> WasiParams {
        self.wasi_params.clone()
    }

    /// Whether an asynchronous guest is to yield to the executor at each tick. A provider that knows no other way may
    /// ignore it.
    #[must_use]
    pub fn cooperative(&self) -> bool {
        self.cooperative
    }

    /// Whether calls share an instance. A provider that knows nothing of it may ignore it: the host is told as well.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// The seed of random bytes and the time since the Unix epoch that the clock shows, where the provider has to be built
    /// so that all runs are equal. One that cannot refuses it as `Unsupported`.
    #[must_use]
    pub fn deterministic(&self) -> Option<(u64, Duration)> {
        self.deterministic
    }
}
