//! A waPC guest as its author would write it: the public `wapc-guest` SDK and
//! nothing of Antiphon.

use wapc_guest::{CallResult, console_log, host_call, register_function};

/// What the SDK puts before the host's text when a host call fails.
const SDK_PREFIX: &str = "Host error: ";

/// Registers the operations. The host calls this once, before any `__guest_call`.
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("echo", echo);
    register_function("fail", fail);
    register_function("panic", panic);
    register_function("host", host);
    register_function("log", log);
}

/// Answers the payload.
fn echo(payload: &[u8]) -> CallResult {
    Ok(payload.to_vec())
}

/// Returns a guest error that carries the payload.
fn fail(payload: &[u8]) -> CallResult {
    Err(format!("the guest refused: {}", text(payload)).into())
}

/// Panics, which on this target is a trap that tells the host no text.
fn panic(payload: &[u8]) -> CallResult {
    panic!("the guest panicked: {}", text(payload))
}

/// Asks the host to echo the payload and passes on what it said, well or ill.
fn host(payload: &[u8]) -> CallResult {
    host_call("binding", "sample", "echo", payload).map_err(|error| {
        // The SDK keeps the host's bytes private, so its prefix is taken off the text.
        let said = error.to_string();
        said.strip_prefix(SDK_PREFIX).unwrap_or(&said).into()
    })
}

/// Writes the payload to the host's console and answers nothing.
fn log(payload: &[u8]) -> CallResult {
    console_log(&text(payload));
    Ok(Vec::new())
}

/// The payload as text; bytes that are no UTF-8 become replacement characters.
fn text(payload: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(payload)
}
