//! The smallest guest of `wapc-guest`, for comparison.

use wapc_guest::{CallResult, register_function};

/// Registers the operation. The host calls this once, before any `__guest_call`.
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("echo", echo);
}

/// Answers the payload.
fn echo(payload: &[u8]) -> CallResult {
    Ok(payload.to_vec())
}
