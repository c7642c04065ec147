//! What makes a fresh instance for each call.

use std::sync::Arc;

use anyhow::Result;

/// Makes a fresh instance, calls it once with a payload, drops it, and says how long the answer was.
pub type FreshCall = Box<dyn FnMut(&'static [u8]) -> Result<usize>>;

/// What each thread gets its [`FreshCall`] from: one compiled module.
pub type Maker = Arc<dyn Fn() -> Result<FreshCall> + Send + Sync>;

/// Whose maker it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By hand.
    Limit,
    /// `wapc` with `wasmtime-provider`.
    Incumbent,
    /// Antiphon.
    Antiphon,
    /// Some other library.
    Other,
}

/// One row.
pub struct Variant {
    /// Its name.
    pub label: String,
    /// Whose it is.
    pub kind: Kind,
    /// Its maker.
    pub maker: Maker,
}

impl Variant {
    /// A row.
    pub fn new(kind: Kind, label: impl Into<String>, maker: Maker) -> Self {
        Self { label: label.into(), kind, maker }
    }
}
