;; SHA-256 of 16 KiB: longer turns with much arithmetic, as in real work.
;;
;; Memory: the operation's name at 0, the constants of the rounds at 0x200, the words of a block at
;; 0x400, the digest at 0x900 (its words as this machine has them, the first byte last), and from
;; 0x10000 the bytes, each the low byte of 31 times its index, with the last block after them.
(module
  (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
  (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 0x200) "\98\2f\8a\42\91\44\37\71\cf\fb\c0\b5\a5\db\b5\e9\5b\c2\56\39\f1\11\f1\59\a4\82\3f\92\d5\5e\1c\ab")
  (data (i32.const 0x220) "\98\aa\07\d8\01\5b\83\12\be\85\31\24\c3\7d\0c\55\74\5d\be\72\fe\b1\de\80\a7\06\dc\9b\74\f1\9b\c1")
  (data (i32.const 0x240) "\c1\69\9b\e4\86\47\be\ef\c6\9d\c1\0f\cc\a1\0c\24\6f\2c\e9\2d\aa\84\74\4a\dc\a9\b0\5c\da\88\f9\76")
  (data (i32.const 0x260) "\52\51\3e\98\6d\c6\31\a8\c8\27\03\b0\c7\7f\59\bf\f3\0b\e0\c6\47\91\a7\d5\51\63\ca\06\67\29\29\14")
  (data (i32.const 0x280) "\85\0a\b7\27\38\21\1b\2e\fc\6d\2c\4d\13\0d\38\53\54\73\0a\65\bb\0a\6a\76\2e\c9\c2\81\85\2c\72\92")
  (data (i32.const 0x2a0) "\a1\e8\bf\a2\4b\66\1a\a8\70\8b\4b\c2\a3\51\6c\c7\19\e8\92\d1\24\06\99\d6\85\35\0e\f4\70\a0\6a\10")
  (data (i32.const 0x2c0) "\16\c1\a4\19\08\6c\37\1e\4c\77\48\27\b5\bc\b0\34\b3\0c\1c\39\4a\aa\d8\4e\4f\ca\9c\5b\f3\6f\2e\68")
  (data (i32.const 0x2e0) "\ee\82\8f\74\6f\63\a5\78\14\78\c8\84\08\02\c7\8c\fa\ff\be\90\eb\6c\50\a4\f7\a3\f9\be\f2\78\71\c6")
  (func (export "wapc_init") (local $i i32)
    (loop $bytes
      (i32.store8 offset=0x10000 (local.get $i) (i32.mul (local.get $i) (i32.const 31)))
      (br_if $bytes (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x4000))))
    (i32.store8 (i32.const 0x14000) (i32.const 0x80))
    ;; The length in bits, in big-endian order.
    (i32.store16 (i32.const 0x1403d) (i32.const 0x2))
    (i32.store8 (i32.const 0x1403f) (i32.const 0x0)))
  (func $block (param $at i32)
    (local $i i32) (local $w i32) (local $v i32) (local $t1 i32) (local $t2 i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32) (local $f i32) (local $g i32) (local $h i32)
    (loop $load
      (local.set $w (i32.load offset=0x10000 (i32.add (local.get $at) (local.get $i))))
      (i32.store offset=0x400 (local.get $i)
        (i32.or
          (i32.and (i32.rotl (local.get $w) (i32.const 8)) (i32.const 0x00ff00ff))
          (i32.and (i32.rotl (local.get $w) (i32.const 24)) (i32.const 0xff00ff00))))
      (br_if $load (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 64))))
    (loop $extend
      (local.set $w (i32.load offset=0x3c4 (local.get $i)))
      (local.set $v (i32.load offset=0x3f8 (local.get $i)))
      (i32.store offset=0x400 (local.get $i)
        (i32.add
          (i32.add
            (i32.load offset=0x3c0 (local.get $i))
            (i32.xor (i32.xor (i32.rotr (local.get $w) (i32.const 7)) (i32.rotr (local.get $w) (i32.const 18))) (i32.shr_u (local.get $w) (i32.const 3))))
          (i32.add
            (i32.load offset=0x3e4 (local.get $i))
            (i32.xor (i32.xor (i32.rotr (local.get $v) (i32.const 17)) (i32.rotr (local.get $v) (i32.const 19))) (i32.shr_u (local.get $v) (i32.const 10))))))
      (br_if $extend (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 256))))
    (local.set $a (i32.load (i32.const 0x900)))
    (local.set $b (i32.load (i32.const 0x904)))
    (local.set $c (i32.load (i32.const 0x908)))
    (local.set $d (i32.load (i32.const 0x90c)))
    (local.set $e (i32.load (i32.const 0x910)))
    (local.set $f (i32.load (i32.const 0x914)))
    (local.set $g (i32.load (i32.const 0x918)))
    (local.set $h (i32.load (i32.const 0x91c)))
    (local.set $i (i32.const 0))
    (loop $rounds
      (local.set $t1
        (i32.add
          (i32.add
            (i32.add (local.get $h) (i32.xor (i32.xor (i32.rotr (local.get $e) (i32.const 6)) (i32.rotr (local.get $e) (i32.const 11))) (i32.rotr (local.get $e) (i32.const 25))))
            (i32.xor (i32.and (local.get $e) (local.get $f)) (i32.and (i32.xor (local.get $e) (i32.const -1)) (local.get $g))))
          (i32.add (i32.load offset=0x200 (local.get $i)) (i32.load offset=0x400 (local.get $i)))))
      (local.set $t2
        (i32.add
          (i32.xor (i32.xor (i32.rotr (local.get $a) (i32.const 2)) (i32.rotr (local.get $a) (i32.const 13))) (i32.rotr (local.get $a) (i32.const 22)))
          (i32.xor
            (i32.xor (i32.and (local.get $a) (local.get $b)) (i32.and (local.get $a) (local.get $c)))
            (i32.and (local.get $b) (local.get $c)))))
      (local.set $h (local.get $g))
      (local.set $g (local.get $f))
      (local.set $f (local.get $e))
      (local.set $e (i32.add (local.get $d) (local.get $t1)))
      (local.set $d (local.get $c))
      (local.set $c (local.get $b))
      (local.set $b (local.get $a))
      (local.set $a (i32.add (local.get $t1) (local.get $t2)))
      (br_if $rounds (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 256))))
    (i32.store (i32.const 0x900) (i32.add (i32.load (i32.const 0x900)) (local.get $a)))
    (i32.store (i32.const 0x904) (i32.add (i32.load (i32.const 0x904)) (local.get $b)))
    (i32.store (i32.const 0x908) (i32.add (i32.load (i32.const 0x908)) (local.get $c)))
    (i32.store (i32.const 0x90c) (i32.add (i32.load (i32.const 0x90c)) (local.get $d)))
    (i32.store (i32.const 0x910) (i32.add (i32.load (i32.const 0x910)) (local.get $e)))
    (i32.store (i32.const 0x914) (i32.add (i32.load (i32.const 0x914)) (local.get $f)))
    (i32.store (i32.const 0x918) (i32.add (i32.load (i32.const 0x918)) (local.get $g)))
    (i32.store (i32.const 0x91c) (i32.add (i32.load (i32.const 0x91c)) (local.get $h))))
  (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32) (local $at i32)
    (call $guest_request (i32.const 0) (i32.const 0x100))
    (i32.store (i32.const 0x900) (i32.const 0x6a09e667))
    (i32.store (i32.const 0x904) (i32.const 0xbb67ae85))
    (i32.store (i32.const 0x908) (i32.const 0x3c6ef372))
    (i32.store (i32.const 0x90c) (i32.const 0xa54ff53a))
    (i32.store (i32.const 0x910) (i32.const 0x510e527f))
    (i32.store (i32.const 0x914) (i32.const 0x9b05688c))
    (i32.store (i32.const 0x918) (i32.const 0x1f83d9ab))
    (i32.store (i32.const 0x91c) (i32.const 0x5be0cd19))
    (loop $blocks
      (call $block (local.get $at))
      (br_if $blocks (i32.le_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (i32.const 0x4000))))
    (call $guest_response (i32.const 0x900) (i32.const 32))
    (i32.const 1)))
