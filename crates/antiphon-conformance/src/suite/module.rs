//! The module of a case, and the options that its provider is built with.

use std::time::Duration;

use antiphon::{Isolation, Limits, WasiParams};

/// A module, and how the provider must be built for it.
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
    /// Returns the module in the binary format; some modules are malformed on purpose.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the limits to build the provider with. The host gets the same limits, so a provider
    /// that has none of its own and takes them from the state passes as well.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns whether the provider must offer WASI: true, except in cases about its refusal.
    #[must_use]
    pub fn wasi(&self) -> bool {
        self.wasi
    }

    /// Returns arguments and environment for WASI: empty, except in cases about them. No case asks
    /// for directories.
    pub fn wasi_params(&self) -> WasiParams {
        self.wasi_params.clone()
    }

    /// Returns whether an asynchronous guest yields to the executor at each tick. A provider whose
    /// guests always yield may ignore it.
    #[must_use]
    pub fn cooperative(&self) -> bool {
        self.cooperative
    }

    /// Returns whether calls share an instance. A provider without such an option may ignore it,
    /// because the host gets it too.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Returns the seed of random bytes, and the time since the Unix epoch that the clock shows, if
    /// the provider must be built so that all runs are equal. A provider without such a mode
    /// refuses with `Unsupported`.
    #[must_use]
    pub fn deterministic(&self) -> Option<(u64, Duration)> {
        self.deterministic
    }
}
