//! Guests in the text format.

use std::time::{Duration, SystemTime};

/// Answers every call with a text.
pub(crate) fn answers(text: &str) -> String {
    module(text, "(call $respond (i32.const 0) (i32.const LEN)) (i32.const 1)")
}

/// Fails in every call, with a text.
pub(crate) fn fails(text: &str) -> String {
    module(text, "(call $error (i32.const 0) (i32.const LEN)) (i32.const 0)")
}

/// Answers every other call of an instance, and fails in the others.
pub(crate) fn fails_half(text: &str) -> String {
    module(
        text,
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (result i32) (i32.and (global.get $calls) (i32.const 1))
           (then (call $error (i32.const 0) (i32.const LEN)) (i32.const 0))
           (else (call $respond (i32.const 0) (i32.const LEN)) (i32.const 1)))",
    )
}

/// Runs until its deadline in every call.
pub(crate) fn loops() -> String {
    module("", "(loop $again (br $again)) (i32.const 1)")
}

/// Writes its text as a log line, and answers with it.
pub(crate) fn logs(text: &str) -> String {
    module(
        text,
        "(call $log (i32.const 0) (i32.const LEN)) (call $respond (i32.const 0) (i32.const LEN)) (i32.const 1)",
    )
}

/// Makes a host call with its text as the operation, and answers with what came, or fails with the
/// host's error.
pub(crate) fn calls(operation: &str) -> String {
    module(
        operation,
        r#"(if (result i32)
           (call $host (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const LEN) (i32.const 0) (i32.const 0))
           (then (call $host_response (i32.const 1024))
             (call $respond (i32.const 1024) (call $host_response_len)) (i32.const 1))
           (else (call $host_error (i32.const 1024))
             (call $error (i32.const 1024) (call $host_error_len)) (i32.const 0)))"#,
    )
}

/// Makes a host call of a namespace with the operation and the payload of its own call, and answers
/// with what came, or fails with the host's error.
pub(crate) fn asks(namespace: &str) -> String {
    let forwards = calls(namespace).replace(
        "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        "(i32.const 0) (i32.const 0) (i32.const 0)",
    );
    let payload = format!("(i32.const {}) (i32.const 0) (i32.const 0))\n", namespace.len());
    assert!(forwards.contains(&payload));
    forwards
        .replace(
            &payload,
            &format!(
                "(i32.const {}) (i32.const 4096) (local.get 0) (i32.const 8192) (local.get 1))\n",
                namespace.len()
            ),
        )
        .replace(
            "(param i32 i32) (result i32) (if",
            "(param i32 i32) (result i32) (call $request (i32.const 4096) (i32.const 8192)) (if",
        )
        .replace(
            "(memory (export",
            r#"(import "wapc" "__guest_request" (func $request (param i32 i32))) (memory (export"#,
        )
}

/// Traps in its start.
pub(crate) fn does_not_start() -> String {
    answers("never").replace("(memory", r#"(func (export "wapc_init") unreachable) (memory"#)
}

/// Starts for a time only: after it, every call traps and no instance starts.
pub(crate) fn starts_for(time: Duration) -> String {
    let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + time;
    let check = format!(
        "(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 2048)))
         (if (i64.gt_u (i64.load (i32.const 2048)) (i64.const {})) (then unreachable))",
        end.as_nanos()
    );
    module("for a time", &format!("{check} (call $respond (i32.const 0) (i32.const LEN)) (i32.const 1)"))
        .replace("(memory", &format!(r#"(func (export "wapc_init") {check}) (memory"#))
}

fn module(text: &str, body: &str) -> String {
    format!(
        r#"(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_error" (func $error (param i32 i32)))
  (import "wapc" "__console_log" (func $log (param i32 i32)))
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 0) "{text}")
  (func (export "__guest_call") (param i32 i32) (result i32) {}))"#,
        body.replace("LEN", &text.len().to_string())
    )
}
