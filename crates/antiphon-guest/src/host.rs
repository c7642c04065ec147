//! Calls from the guest to its host.

use alloc::boxed::Box;

use crate::errors::{self, CallResult, ErrorKind};
use crate::imports::{self, Target};

/// Calls an operation of the host. Binding and namespace are names that guest and host agree on.
///
/// # Errors
///
/// The host's error as [`errors::Error`], whose `Display` puts `Host error: ` before the host's
/// text.
pub fn host_call(binding: &str, namespace: &str, operation: &str, payload: &[u8]) -> CallResult {
    let answered = imports::host_call(Target { binding, namespace, operation }, payload);
    let answer = imports::host_answer(answered);
    if answered { Ok(answer) } else { Err(Box::new(errors::new(ErrorKind::HostError(answer)))) }
}

/// Writes a line to the host's log.
pub fn console_log(line: &str) {
    imports::log(line.as_bytes());
}
