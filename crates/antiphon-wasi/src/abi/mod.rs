//! The two module names under which guests import preview 1, and how they differ.

mod errno;
pub(crate) mod layout;
pub(crate) mod memory;
mod stop;
mod vectors;

pub(crate) use errno::Errno;
pub(crate) use stop::{Failure, settle};
pub use stop::{Fault, Stop};
pub use vectors::MAX_VECTORS;
pub(crate) use vectors::Vectors;

/// The module names that a guest may import from, each with its revision.
pub const MODULES: [(&str, Abi); 2] =
    [("wasi_snapshot_preview1", Abi::Preview1), ("wasi_unstable", Abi::Preview0)];

/// The revision of the interface that a guest was compiled against.
///
/// Both have the same functions (preview 0 lacks `sock_accept`, which is harmless to offer). They
/// differ in the layout of `filestat` (a link count of 4 bytes instead of 8), in that of
/// `poll_oneoff`'s subscriptions (56 bytes instead of 48), and in the order of `whence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abi {
    /// `wasi_snapshot_preview1`, which every toolchain since 2020 emits.
    Preview1,
    /// `wasi_unstable`, also called preview 0 or snapshot 0.
    Preview0,
}

impl Abi {
    /// Returns the revision of a module name, if it is one of [`MODULES`].
    pub fn of_module(name: &str) -> Option<Abi> {
        MODULES.iter().find(|(module, _)| *module == name).map(|(_, abi)| *abi)
    }

    /// Returns the name of the module that guests of this revision import from.
    pub const fn module(self) -> &'static str {
        match self {
            Abi::Preview1 => "wasi_snapshot_preview1",
            Abi::Preview0 => "wasi_unstable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names_and_revisions_map_both_ways() {
        for (name, abi) in MODULES {
            assert_eq!(Abi::of_module(name), Some(abi));
            assert_eq!(abi.module(), name);
        }
        assert_eq!(Abi::of_module("wasi"), None);
    }
}
