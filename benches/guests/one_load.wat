;; The sum of 16 Ki words, 16 times: the shortest loop that does any work, and so the worst case for
;; a cost in each turn.
;;
;; Memory: the operation's name at 0, the answer at 0x900, and from 0x10000 the words, each with its
;; index as its value.
(module
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "wapc_init") (local $i i32)
    (loop $words
      (i32.store offset=0x10000 (i32.shl (local.get $i) (i32.const 2)) (local.get $i))
      (br_if $words (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x4000)))))
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
    (local $at i32) (local $turn i32) (local $sum i32)
    (call $guest_request (i32.const 0) (i32.const 0x100))
    (loop $turns
      (local.set $at (i32.const 0))
      (loop $words
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=0x10000 (local.get $at))))
        (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 0x10000))))
      (br_if $turns (i32.lt_u (local.tee $turn (i32.add (local.get $turn) (i32.const 1))) (i32.const 16))))
    (i32.store (i32.const 0x900) (local.get $sum))
    (call $guest_response (i32.const 0x900) (i32.const 4))
    (i32.const 1)))
