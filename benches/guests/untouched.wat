;; Answers with 16 bytes of its memory and never writes to it: only what the host keeps for an idle
;; instance is resident. For the benchmark `idle`.
(module
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
    (call $guest_response (i32.const 0) (i32.const 16))
    (i32.const 1)))
