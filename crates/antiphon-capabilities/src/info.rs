//! What a capability reads from the context of a call.

use std::sync::Arc;

/// Whose call a host call belongs to. An embedder puts it into the
/// [`Context`](antiphon::Context) of the call; log lines and calls of other modules carry it on.
///
/// ```
/// use antiphon::{Context, Request};
/// use antiphon_capabilities::{CallInfo, Depth};
///
/// let info = CallInfo::new("pricing", "quote").trace("4bf92f3577b34da6a3ce929d0e0e4736");
/// Request::new("quote", b"42").context(Context::new().with(info).with(Depth(1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallInfo {
    /// The module's name.
    pub module: Arc<str>,
    /// The operation.
    pub operation: Arc<str>,
    /// The trace that the call belongs to, as a W3C trace id; empty if there is none.
    pub trace: Arc<str>,
}

impl CallInfo {
    /// Creates the information of a call without a trace.
    pub fn new(module: impl Into<Arc<str>>, operation: impl Into<Arc<str>>) -> Self {
        Self { module: module.into(), operation: operation.into(), trace: Arc::default() }
    }

    /// Sets the trace.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<Arc<str>>) -> Self {
        self.trace = trace.into();
        self
    }
}

/// How many modules called each other until this call: 0, or no value in the context, for a call
/// from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(pub u32);

impl Depth {
    /// The deepest call that a guest may make of another module.
    pub const MAX: Self = Self(16);
}
