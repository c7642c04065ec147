//! WebAssembly features, on or off for every engine alike.

use crate::suite::{Case, Guest, Subject, case};
use crate::support::Failure;

pub(super) const CASES: &[Case] = &[
    case!(features::mutable_globals_are_on),
    case!(features::sign_extension_is_on),
    case!(features::saturating_conversions_are_on),
    case!(features::multi_value_is_on),
    case!(features::bulk_memory_is_on),
    case!(features::reference_types_are_on),
    case!(features::simd_is_on),
    case!(features::extended_constants_are_on),
    case!(features::tail_calls_are_on),
    case!(features::threads_are_off),
    case!(features::memory64_is_off),
    case!(features::multi_memory_is_off),
    case!(features::exceptions_are_off),
    case!(features::gc_is_off),
    case!(features::relaxed_simd_is_off),
];

/// Expects a guest to start and to compute a number.
#[track_caller]
fn on(subject: &Subject, number: i32, body: &str) {
    assert_eq!(subject.host(Guest::new(body)).number("run", b""), number);
}

/// Expects a guest to be refused.
#[track_caller]
fn off(subject: &Subject, body: &str) {
    let run = "(func $run (param i32 i32) (result i32) (i32.const 1))";
    subject.refuses(Guest::new(&format!("{body} {run}")), Failure::INVALID_MODULE);
}

fn mutable_globals_are_on(subject: &Subject) {
    on(
        subject,
        7,
        r#"(global $exported (export "global") (mut i32) (i32.const 3))
           (func $run (param i32 i32) (result i32)
             (global.set $exported (i32.add (global.get $exported) (i32.const 4)))
             (call $answer_i32 (global.get $exported)))"#,
    );
}

fn sign_extension_is_on(subject: &Subject) {
    on(
        subject,
        -1,
        "(func $run (param i32 i32) (result i32)
           (call $answer_i32 (i32.and (i32.extend8_s (i32.const 255)) (i32.extend16_s (i32.const 65535)))))",
    );
}

fn saturating_conversions_are_on(subject: &Subject) {
    on(
        subject,
        i32::MAX,
        "(func $run (param i32 i32) (result i32)
           (call $answer_i32 (i32.add (i32.trunc_sat_f64_s (f64.const 1e30)) (i32.trunc_sat_f32_u (f32.const nan)))))",
    );
}

fn multi_value_is_on(subject: &Subject) {
    on(
        subject,
        12,
        "(func $pair (result i32 i32) (i32.const 20) (i32.const 8))
         (func $run (param i32 i32) (result i32)
           (call $pair)
           (block (param i32 i32) (result i32) (i32.sub))
           (call $answer_i32))",
    );
}

fn bulk_memory_is_on(subject: &Subject) {
    on(
        subject,
        0x6463_6261,
        r#"(data $passive "abcdefgh")
           (func $run (param i32 i32) (result i32)
             (memory.init $passive (i32.const 512) (i32.const 0) (i32.const 4))
             (memory.fill (i32.const 600) (i32.const 120) (i32.const 4))
             (memory.copy (i32.const 600) (i32.const 512) (i32.const 4))
             (call $answer_i32 (i32.load (i32.const 600))))"#,
    );
}

fn reference_types_are_on(subject: &Subject) {
    on(
        subject,
        11,
        "(table $one 1 funcref) (table $two 2 externref) (elem declare func $ten)
         (func $ten (result i32) (i32.const 10))
         (func $run (param i32 i32) (result i32)
           (table.set $one (i32.const 0) (ref.func $ten))
           (call $answer_i32 (i32.add
             (call_indirect $one (result i32) (i32.const 0))
             (ref.is_null (table.get $two (i32.const 1))))))",
    );
}

fn simd_is_on(subject: &Subject) {
    on(
        subject,
        33,
        "(func $run (param i32 i32) (result i32)
           (call $answer_i32 (i32x4.extract_lane 2
             (i32x4.add (v128.const i32x4 1 2 3 4) (i32x4.splat (i32.const 30))))))",
    );
}

fn extended_constants_are_on(subject: &Subject) {
    on(
        subject,
        50,
        "(global $sum i32 (i32.add (i32.mul (i32.const 6) (i32.const 8)) (i32.sub (i32.const 3) (i32.const 1))))
         (func $run (param i32 i32) (result i32) (call $answer_i32 (global.get $sum)))",
    );
}

fn tail_calls_are_on(subject: &Subject) {
    // Without tail calls this would be a million calls deep.
    on(
        subject,
        1_000_000,
        "(func $count (param $left i32) (param $done i32) (result i32)
           (if (i32.eqz (local.get $left)) (then (return (local.get $done))))
           (return_call $count
             (i32.sub (local.get $left) (i32.const 1)) (i32.add (local.get $done) (i32.const 1))))
         (func $run (param i32 i32) (result i32)
           (call $answer_i32 (call $count (i32.const 1000000) (i32.const 0))))",
    );
}

fn threads_are_off(subject: &Subject) {
    off(subject, "(func (drop (i32.atomic.load (i32.const 0))))");
    let shared = r#"(memory (export "memory") 1 2 shared)"#;
    let run = "(func $run (param i32 i32) (result i32) (i32.const 1))";
    subject.refuses(Guest::with_memory(shared, run), Failure::INVALID_MODULE);
}

fn memory64_is_off(subject: &Subject) {
    subject.refuses(
        Guest::module(
            r#"(module (memory (export "memory") i64 1)
                 (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
        ),
        Failure::INVALID_MODULE,
    );
}

fn multi_memory_is_off(subject: &Subject) {
    off(subject, "(memory $second 1)");
}

fn exceptions_are_off(subject: &Subject) {
    off(subject, "(tag $e) (func (throw $e))");
    off(subject, "(tag $e) (func (block $caught (try_table (catch_all $caught) (throw $e))))");
}

fn gc_is_off(subject: &Subject) {
    off(subject, "(type $point (struct (field i32))) (func (drop (struct.new $point (i32.const 1))))");
    off(subject, "(func (drop (ref.i31 (i32.const 1))))");
}

fn relaxed_simd_is_off(subject: &Subject) {
    off(subject, "(func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))))");
}
