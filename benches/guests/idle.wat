;; Answers with its payload of at most 32 KiB, and otherwise does nothing. Of its memory only the
;; two system pages that a short call writes to are resident.
(module
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
    (call $guest_request (i32.const 0) (i32.const 0x8000))
    (call $guest_response (i32.const 0x8000) (local.get $msg_len))
    (i32.const 1)))
