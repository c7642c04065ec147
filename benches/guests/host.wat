;; Sends its payload to the host and answers with the host's answer: one guest call, one host call.
;;
;; Memory: page 0 holds the operation's name and, from 0x8000, the three names of the host call;
;; page 1 the payload (at most 64 KiB); page 2 the host's answer. The answer is apart from the
;; payload, so that an answer that never came is noticed.
(module
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (memory (export "memory") 3)
  (data (i32.const 0x8000) "bench")
  (data (i32.const 0x8010) "antiphon")
  (data (i32.const 0x8020) "echo")
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
    (call $guest_request (i32.const 0) (i32.const 0x10000))
    (if (i32.eqz (call $host_call
          (i32.const 0x8000) (i32.const 5)
          (i32.const 0x8010) (i32.const 8)
          (i32.const 0x8020) (i32.const 4)
          (i32.const 0x10000) (local.get $msg_len)))
      (then (return (i32.const 0))))
    (call $host_response (i32.const 0x20000))
    (call $guest_response (i32.const 0x20000) (call $host_response_len))
    (i32.const 1)))
