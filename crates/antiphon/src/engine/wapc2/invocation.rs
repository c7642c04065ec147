//! A call in the form that engines of `wapc` 2.x get.

/// An operation with its payload.
/// [`ModuleState::get_guest_request`](crate::ModuleState::get_guest_request) hands it to an engine.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "users of wapc 2.x take it apart")]
pub struct Invocation {
    /// The operation.
    pub operation: String,
    /// The payload.
    pub msg: Vec<u8>,
}

impl Invocation {
    pub(super) fn new(operation: &str, msg: &[u8]) -> Self {
        Self { operation: operation.to_owned(), msg: msg.to_vec() }
    }
}
