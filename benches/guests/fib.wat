;; The 22nd Fibonacci number by plain recursion: nothing but calls.
;;
;; Memory: the operation's name at 0, the answer at 0x900.
(module
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (memory (export "memory") 1)
  (func $fib (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else
        (i32.add
          (call $fib (i32.sub (local.get $n) (i32.const 1)))
          (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
    (call $guest_request (i32.const 0) (i32.const 0x100))
    (i32.store (i32.const 0x900) (call $fib (i32.const 22)))
    (call $guest_response (i32.const 0x900) (i32.const 4))
    (i32.const 1)))
