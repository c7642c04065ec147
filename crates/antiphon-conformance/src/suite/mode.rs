//! The ways in which a provider is driven.

/// How a case drives the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// A `WapcHost`.
    Sync,
    /// A `WapcHostAsync` whose handlers may wait, and whose guests yield to the executor.
    Async,
    /// A `WapcHostAsync` for short, trusted guests: handlers that never wait, where the case allows
    /// that, and [`Module::cooperative`](crate::Module::cooperative) false.
    Straight,
}

impl Mode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[Self::Sync, Self::Async, Self::Straight];
    pub(crate) const ASYNC: &'static [Self] = &[Self::Async, Self::Straight];

    /// Returns the mode's name, the first part of a test's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Straight => "straight",
        }
    }
}
