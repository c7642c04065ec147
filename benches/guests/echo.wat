;; Answers with its payload: one guest call, no host call.
;;
;; Memory: page 0 holds the operation's name, the sixteen pages after it the payload (at most 1
;; MiB).
(module
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (memory (export "memory") 17)
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
    (call $guest_request (i32.const 0) (i32.const 0x10000))
    (call $guest_response (i32.const 0x10000) (local.get $msg_len))
    (i32.const 1)))
