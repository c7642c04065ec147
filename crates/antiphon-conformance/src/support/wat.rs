//! Builds the module of a guest from the case's text.

/// The imports of every guest.
const IMPORTS: &str = r#"
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (import "wapc" "__guest_error" (func $guest_error (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (import "wapc" "__console_log" (func $console_log (param i32 i32)))
"#;

/// One page of memory, unless a guest brings its own.
const MEMORY: &str = r#"(memory (export "memory") 1)"#;

/// What every guest shares: it counts its calls, and has a few helper functions. It uses the last
/// 100 bytes of the first page; the rest is the guest's.
const SHARED: &str = r#"
  (global $calls (mut i32) (i32.const 0))

  ;; An operation with a name of one byte asks for the number of calls of this instance.
  (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (local.get $op) (i32.const 1))
      (then (return (call $answer_i32 (global.get $calls)))))
    (call $run (local.get $op) (local.get $msg)))

  (func $answer (param $ptr i32) (param $len i32) (result i32)
    (call $guest_response (local.get $ptr) (local.get $len))
    (i32.const 1))

  (func $answer_i32 (param $value i32) (result i32)
    (i32.store (i32.const 65532) (local.get $value))
    (call $answer (i32.const 65532) (i32.const 4)))

  (func $fail (param $ptr i32) (param $len i32) (result i32)
    (call $guest_error (local.get $ptr) (local.get $len))
    (i32.const 0))

  ;; Calls the host with the names below and a payload.
  (func $ask (param $ptr i32) (param $len i32) (result i32)
    (call $host_call
      (i32.const 65472) (i32.const 7) (i32.const 65479) (i32.const 9) (i32.const 65488) (i32.const 9)
      (local.get $ptr) (local.get $len)))

  ;; Passes on the host's answer or error, given the result of `__host_call`.
  (func $relay (param $ok i32) (result i32)
    (if (local.get $ok) (then
      (call $host_response (i32.const 1024))
      (return (call $answer (i32.const 1024) (call $host_response_len)))))
    (call $host_error (i32.const 1024))
    (call $fail (i32.const 1024) (call $host_error_len)))

  (func $spin (loop $again (br $again)))

  (data (i32.const 65472) "bindingnamespaceoperation")
"#;

/// Builds the module of a guest. `body` has its `$run` and what that needs, imports first.
pub(crate) fn guest(body: &str, memory: Option<&str>) -> Vec<u8> {
    module(&format!("(module {IMPORTS} {body} {} {SHARED})", memory.unwrap_or(MEMORY)))
}

/// Builds a module of any text.
///
/// # Panics
/// The text is not a module: a bug of the suite.
pub(crate) fn module(text: &str) -> Vec<u8> {
    match wat::parse_str(text) {
        Ok(bytes) => bytes,
        Err(error) => panic!("the suite's own module does not parse: {error}\n{text}"),
    }
}
