//! Traps of guests, and AssemblyScript's abort.

use std::error::Error as _;

use antiphon::Limits;

use crate::suite::{Case, Guest, Host, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(trap::unreachable_code),
    case!(trap::a_division_by_zero),
    case!(trap::an_integer_overflow_in_a_division),
    case!(trap::a_conversion_of_a_number_that_is_none),
    case!(trap::a_load_and_a_store_outside_memory),
    case!(trap::an_indirect_call_of_another_type),
    case!(trap::an_indirect_call_of_an_empty_element),
    case!(trap::an_indirect_call_outside_the_table),
    case!(trap::the_next_instance_sees_none_of_the_memory),
    case!(trap::a_hundred_traps_in_a_row_are_survived),
    case!(trap::an_abort_carries_its_text_and_its_place),
    case!(trap::an_abort_with_null_pointers_is_a_trap),
    case!(trap::an_abort_with_wild_pointers_is_a_trap),
    case!(trap::an_abort_with_a_broken_or_long_text_is_a_trap),
];

#[track_caller]
fn traps(subject: &Subject, body: &str) {
    let host = subject.host(Guest::new(body));
    let error = host.fails("run", b"", Failure::TRAPPED);
    assert!(error.source().is_some(), "a trap has the engine's own error as its source: {error:#?}");
    assert_ne!(error.backtrace(), Some(""));
    assert!(error.to_string().starts_with("Guest call failure: "), "{error}");
}

fn unreachable_code(subject: &Subject) {
    traps(subject, "(func $run (param i32 i32) (result i32) unreachable)");
}

fn a_division_by_zero(subject: &Subject) {
    traps(
        subject,
        "(func $run (param i32 i32) (result i32) (i32.div_u (i32.const 1) (global.get $zero)))
         (global $zero (mut i32) (i32.const 0))",
    );
}

fn an_integer_overflow_in_a_division(subject: &Subject) {
    traps(
        subject,
        "(func $run (param i32 i32) (result i32) (i32.div_s (i32.const 0x80000000) (global.get $minus)))
         (global $minus (mut i32) (i32.const -1))",
    );
}

fn a_conversion_of_a_number_that_is_none(subject: &Subject) {
    traps(subject, "(func $run (param i32 i32) (result i32) (i32.trunc_f32_s (f32.const nan)))");
}

fn a_load_and_a_store_outside_memory(subject: &Subject) {
    traps(subject, "(func $run (param i32 i32) (result i32) (i32.load (i32.const 65533)))");
    traps(subject, "(func $run (param i32 i32) (result i32) (i32.load offset=0xffffffff (i32.const -1)))");
    traps(
        subject,
        "(func $run (param i32 i32) (result i32) (i32.store (i32.const -4) (i32.const 1)) (i32.const 1))",
    );
}

fn an_indirect_call_of_another_type(subject: &Subject) {
    traps(
        subject,
        "(table funcref (elem $other)) (func $other (param i64))
         (func $run (param i32 i32) (result i32) (call_indirect (result i32) (i32.const 0)))",
    );
}

fn an_indirect_call_of_an_empty_element(subject: &Subject) {
    traps(
        subject,
        "(table 1 funcref)
         (func $run (param i32 i32) (result i32) (call_indirect (result i32) (i32.const 0)))",
    );
}

fn an_indirect_call_outside_the_table(subject: &Subject) {
    traps(
        subject,
        "(table 1 funcref)
         (func $run (param i32 i32) (result i32) (call_indirect (result i32) (i32.const -1)))",
    );
}

fn the_next_instance_sees_none_of_the_memory(subject: &Subject) {
    let host = subject.host(Guest::with_memory(
        r#"(memory (export "memory") 1 4)"#,
        r#"(global $dirty (mut i32) (i32.const 0))
           (table $table 1 4 funcref)
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (i32.eq (local.get $op) (i32.const 4)) (then
               (return (call $answer_i32 (i32.add
                 (i32.add (global.get $dirty) (i32.load (i32.const 512)))
                 (i32.add (memory.size) (table.size $table)))))))
             (global.set $dirty (i32.const 1000))
             (i32.store (i32.const 512) (i32.const 1000))
             (drop (memory.grow (i32.const 2)))
             (drop (table.grow $table (ref.null func) (i32.const 2)))
             unreachable)"#,
    ));
    assert_eq!(host.number("look", b""), 2);
    host.fails("spoil", b"", Failure::TRAPPED);
    assert_eq!(host.number("look", b""), 2, "globals, memory and tables are those of a fresh instance");
}

fn a_hundred_traps_in_a_row_are_survived(subject: &Subject) {
    let host = subject.host(Guest::new("(func $run (param i32 i32) (result i32) unreachable)"));
    for _ in 0..100 {
        Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    }
    host.counted(1);
}

/// Starts a guest that calls `env.abort` with the four numbers of the payload. At 64 is the string
/// "ünfug", at 128 "index.ts".
fn aborter(subject: &Subject) -> Host {
    subject.host(
        Guest::with_memory(
            r#"(memory (export "memory") 2)"#,
            r#"(func $abort (import "env" "abort") (param i32 i32 i32 i32))
               (func $run (param i32 i32) (result i32)
                 (call $guest_request (i32.const 512) (i32.const 0))
                 (call $abort (i32.load (i32.const 0)) (i32.load (i32.const 4))
                              (i32.load (i32.const 8)) (i32.load (i32.const 12)))
                 (call $answer (i32.const 0) (i32.const 0)))
               (data (i32.const 60) "\0a\00\00\00\fc\00n\00f\00u\00g\00")
               (data (i32.const 124) "\10\00\00\00i\00n\00d\00e\00x\00.\00t\00s\00")
               ;; a lone surrogate between two letters
               (data (i32.const 252) "\06\00\00\00a\00\00\d8b\00")
               ;; 100,000 bytes
               (data (i32.const 1020) "\a0\86\01\00x\00y\00")
               ;; longer than the memory
               (data (i32.const 316) "\ff\ff\ff\ffx\00")"#,
        )
        .limits(Limits::new().error_text(1000)),
    )
}

#[track_caller]
fn aborts(host: &Host, args: [i32; 4]) -> String {
    let error = host.fails("run", &args.map(i32::to_le_bytes).concat(), Failure::TRAPPED);
    let text = error.guest_error().unwrap_or_default().to_owned();
    says(&error, &[&text]);
    text
}

fn an_abort_carries_its_text_and_its_place(subject: &Subject) {
    says(aborts(&aborter(subject), [64, 128, 27, 3]), &["ünfug", "index.ts", "27", "3"]);
}

fn an_abort_with_null_pointers_is_a_trap(subject: &Subject) {
    let host = aborter(subject);
    says(aborts(&host, [0, 128, 27, 3]), &["index.ts"]);
    says(aborts(&host, [64, 0, 27, 3]), &["ünfug"]);
    says(aborts(&host, [0, 0, -1, -1]), &["4294967295"]);
}

fn an_abort_with_wild_pointers_is_a_trap(subject: &Subject) {
    let host = aborter(subject);
    // Outside memory, without room for the length in front, and with a length that reaches past the
    // end.
    for ptr in [-1, i32::MIN, i32::MAX, 131_072, 131_076, 1, 3, 320] {
        says(aborts(&host, [ptr, 128, 27, 3]), &["index.ts"]);
        says(aborts(&host, [64, ptr, 27, 3]), &["ünfug"]);
    }
}

fn an_abort_with_a_broken_or_long_text_is_a_trap(subject: &Subject) {
    let host = aborter(subject);
    says(aborts(&host, [256, 128, 0, 0]), &["a\u{fffd}b"]);
    let long = aborts(&host, [1024, 128, 0, 0]);
    says(&long, &["xy"]);
    assert!(long.len() < 2000, "{} bytes of text where the limit is 1,000", long.len());
}
