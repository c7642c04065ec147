//! The names of waPC's functions.

pub use antiphon_protocol::names::{
    ABORT_FN, ABORT_NAMESPACE, GUEST_CALL, GUEST_ERROR_FN, GUEST_REQUEST_FN, GUEST_RESPONSE_FN, HOST_CALL,
    HOST_CONSOLE_LOG, HOST_ERROR_FN, HOST_ERROR_LEN_FN, HOST_NAMESPACE, HOST_RESPONSE_FN,
    HOST_RESPONSE_LEN_FN, INIT_EXPORTS, MEMORY, REACTOR_INITIALIZE, SEED_FN, TINYGO_START, TRACE_FN,
    WAPC_INIT,
};

/// The start functions that `wapc` 2.x calls, in its order. Kept for its users; see
/// [`INIT_EXPORTS`].
pub const REQUIRED_STARTS: [&str; 2] = [TINYGO_START, WAPC_INIT];
