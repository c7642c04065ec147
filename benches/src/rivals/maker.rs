//! What makes a fresh instance for each call.

use std::sync::Arc;

use anyhow::Result;

/// Makes a fresh instance, calls it once with a payload, drops it, and returns the length of the
/// answer.
pub type FreshCall = Box<dyn FnMut(&'static [u8]) -> Result<usize>>;

/// Gives each thread its [`FreshCall`], all of one compiled module.
pub type Maker = Arc<dyn Fn() -> Result<FreshCall> + Send + Sync>;

/// Whose code makes the instance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By hand.
    Limit,
    /// `wapc` with `wasmtime-provider`.
    Incumbent,
    /// Antiphon.
    Antiphon,
    /// Another library.
    Other,
}

/// One row.
pub struct Variant {
    /// The row's name.
    pub label: String,
    /// Whose code makes the instance.
    pub kind: Kind,
    /// The maker.
    pub maker: Maker,
}

impl Variant {
    /// Returns a row.
    pub fn new(kind: Kind, label: impl Into<String>, maker: Maker) -> Self {
        Self { label: label.into(), kind, maker }
    }
}
