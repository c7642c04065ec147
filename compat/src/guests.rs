//! The guests of the programs: small ones in text format, and those built with third-party SDKs.

use std::path::{Path, PathBuf};

/// Reads a module of `guests/built`.
///
/// # Panics
/// If there is no such module.
pub fn built(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/built").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A guest with operations that are selected by their first letters:
///
/// - `echo` answers the payload; `count` answers how often it was called.
/// - `fail` reports the payload as its error; `zero` returns 0 and sets nothing; `none` returns 1
///   and sets nothing.
/// - `host` makes a host call with the operation and the payload, and passes the answer on.
/// - `late` makes a host call first, then fetches its request a second time and answers it.
/// - `ask` counts, then behaves like `host`.
/// - `log` logs the payload; `grow` grows the memory as far as it can and answers its pages.
/// - `table` grows the table in the same way.
/// - `break` counts, then traps; `greedy` traps if a growth by one page is refused; `wild` answers
///   with bytes outside its memory; `utf8` makes a host call with an operation that is not UTF-8;
///   `loop` never ends.
///
/// It has 2 pages of memory, at most 64, and a table of 1 element, at most 2,000.
pub const TOOLBOX: &str = r#"(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_error" (func $fail (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $answer_len (result i32)))
  (import "wapc" "__host_response" (func $answer (param i32)))
  (import "wapc" "__host_error_len" (func $refusal_len (result i32)))
  (import "wapc" "__host_error" (func $refusal (param i32)))
  (import "wapc" "__console_log" (func $log (param i32 i32)))
  (memory (export "memory") 2 64)
  (table $table 1 2000 funcref)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 0) "binding")
  (data (i32.const 16) "sample")
  (data (i32.const 32) "\ff")

  ;; Is this the operation's first letter?
  (func $is (param $letter i32) (result i32)
    (i32.eq (i32.load8_u (i32.const 1024)) (local.get $letter)))
  (func $count (global.set $count (i32.add (global.get $count) (i32.const 1))))
  (func $respond_number (param $number i32) (result i32)
    (i32.store (i32.const 64) (local.get $number))
    (call $respond (i32.const 64) (i32.const 4))
    (i32.const 1))
  (func $ask (param $op i32) (param $op_len i32) (param $msg i32) (result i32)
    (call $host_call (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 6)
      (local.get $op) (local.get $op_len) (i32.const 4096) (local.get $msg)))
  (func $host (param $op i32) (param $op_len i32) (param $msg i32) (result i32)
    (if (call $ask (local.get $op) (local.get $op_len) (local.get $msg)) (then
      (call $answer (i32.const 65536))
      (call $respond (i32.const 65536) (call $answer_len))
      (return (i32.const 1))))
    (call $refusal (i32.const 65536))
    (call $fail (i32.const 65536) (call $refusal_len))
    (i32.const 0))

  (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
    (call $request (i32.const 1024) (i32.const 4096))
    (if (call $is (i32.const 97 (;a;))) (then
      (call $count)
      (return (call $host (i32.const 1024) (local.get $op) (local.get $msg)))))
    (if (call $is (i32.const 98 (;b;))) (then (call $count) (unreachable)))
    (if (call $is (i32.const 99 (;c;))) (then (call $count) (return (call $respond_number (global.get $count)))))
    (if (call $is (i32.const 101 (;e;))) (then
      (call $respond (i32.const 4096) (local.get $msg))
      (return (i32.const 1))))
    (if (call $is (i32.const 102 (;f;))) (then
      (call $fail (i32.const 4096) (local.get $msg))
      (return (i32.const 0))))
    (if (i32.and (call $is (i32.const 103 (;g;))) (i32.eq (local.get $op) (i32.const 6))) (then
      (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then (unreachable)))
      (return (call $respond_number (memory.size)))))
    (if (call $is (i32.const 103 (;g;))) (then
      (loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))
      (return (call $respond_number (memory.size)))))
    (if (call $is (i32.const 104 (;h;))) (then
      (return (call $host (i32.const 1024) (local.get $op) (local.get $msg)))))
    (if (i32.and (call $is (i32.const 108 (;l;))) (i32.eq (i32.load8_u (i32.const 1025)) (i32.const 97))) (then
      (drop (call $ask (i32.const 1024) (local.get $op) (local.get $msg)))
      (call $request (i32.const 1024) (i32.const 4096))
      (call $respond (i32.const 4096) (local.get $msg))
      (return (i32.const 1))))
    (if (i32.and (call $is (i32.const 108 (;l;))) (i32.eq (local.get $op) (i32.const 3))) (then
      (call $log (i32.const 4096) (local.get $msg))
      (call $respond (i32.const 0) (i32.const 0))
      (return (i32.const 1))))
    (if (call $is (i32.const 108 (;l;))) (then (loop $forever (br $forever))))
    (if (call $is (i32.const 110 (;n;))) (then (return (i32.const 1))))
    (if (call $is (i32.const 116 (;t;))) (then
      (loop $again (br_if $again (i32.ge_s (table.grow $table (ref.null func) (i32.const 1)) (i32.const 0))))
      (return (call $respond_number (table.size $table)))))
    (if (call $is (i32.const 117 (;u;))) (then
      (return (call $host (i32.const 32) (i32.const 1) (local.get $msg)))))
    (if (call $is (i32.const 119 (;w;))) (then (call $respond (i32.const 0x7fff0000) (i32.const 16))))
    (i32.const 0)))"#;

/// Decodes a number that the toolbox answered.
///
/// # Panics
/// If the answer is not a number.
pub fn number(answer: &[u8]) -> u32 {
    u32::from_le_bytes(answer.try_into().unwrap_or_else(|_| panic!("no number: {answer:?}")))
}

/// Returns a guest that echoes, with additional imports, and additional fields before its
/// functions.
pub fn echo_with(imports: &str, more: &str) -> String {
    format!(
        r#"(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  {imports}
  (memory (export "memory") 1)
  {more}
  (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
    (call $request (i32.const 1024) (i32.const 4096))
    (call $respond (i32.const 4096) (local.get $msg))
    (i32.const 1)))"#
    )
}
