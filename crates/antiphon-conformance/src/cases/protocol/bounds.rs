//! Pointers and lengths: every import that takes them, with every kind of wild value.

use std::time::Duration;

use antiphon::{Bytes, Limits};

use crate::suite::{Case, Guest, Host, Log, Need, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(bounds::request_operation_outside_memory_is_a_trap),
    case!(bounds::request_payload_outside_memory_is_a_trap),
    case!(bounds::response_outside_memory_is_a_trap),
    case!(bounds::error_outside_memory_is_a_trap),
    case!(bounds::log_outside_memory_is_a_trap),
    case!(bounds::host_call_binding_outside_memory_is_a_trap),
    case!(bounds::host_call_namespace_outside_memory_is_a_trap),
    case!(bounds::host_call_operation_outside_memory_is_a_trap),
    case!(bounds::host_call_payload_outside_memory_is_a_trap),
    case!(bounds::host_response_outside_memory_is_a_trap),
    case!(bounds::host_error_outside_memory_is_a_trap),
    case!(bounds::a_wild_host_call_is_a_trap_even_where_it_would_be_refused),
    case!(bounds::spans_that_end_with_the_memory_are_inside),
    case!(bounds::spans_of_length_zero_are_valid_whatever_their_pointer),
    case!(bounds::overlapping_spans_are_served),
    case!(bounds::a_refused_write_leaves_nothing_behind_in_the_next_instance),
    case!(bounds::memory_that_grew_during_the_call_is_inside),
    case!(bounds::pointers_above_two_gibibytes_are_unsigned).needs(&[Need::MemoryLimit]).alone(),
];

/// Reads nine numbers from the payload: the import to call, and its arguments. Answers the import's
/// result, or 0.
const DRIVER: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $which i32)
    (call $guest_request (i32.const 2048) (i32.const 0))
    (local.set $which (i32.load (i32.const 0)))

    (if (i32.eq (local.get $which) (i32.const 0))
      (then (call $guest_request (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
    (if (i32.eq (local.get $which) (i32.const 1))
      (then (call $guest_response (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
    (if (i32.eq (local.get $which) (i32.const 2))
      (then (call $guest_error (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
    (if (i32.eq (local.get $which) (i32.const 3))
      (then (call $console_log (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
    (if (i32.eq (local.get $which) (i32.const 4))
      (then (return (call $answer_i32 (call $host_call
        (call $arg (i32.const 1)) (call $arg (i32.const 2)) (call $arg (i32.const 3)) (call $arg (i32.const 4))
        (call $arg (i32.const 5)) (call $arg (i32.const 6)) (call $arg (i32.const 7)) (call $arg (i32.const 8)))))))
    ;; The last two imports write only after a host call.
    (if (i32.eq (local.get $which) (i32.const 5)) (then
      (drop (call $ask (i32.const 0) (i32.const 1)))
      (call $host_response (call $arg (i32.const 1)))))
    (if (i32.eq (local.get $which) (i32.const 6)) (then
      (drop (call $ask (i32.const 0) (i32.const 0)))
      (call $host_error (call $arg (i32.const 1)))))
    (call $answer_i32 (i32.const 0)))

  (func $arg (param $index i32) (result i32)
    (i32.load (i32.mul (local.get $index) (i32.const 4))))
"#;

const REQUEST: i32 = 0;
const RESPONSE: i32 = 1;
const ERROR: i32 = 2;
const LOG: i32 = 3;
const HOST_CALL: i32 = 4;
const HOST_RESPONSE: i32 = 5;
const HOST_ERROR: i32 = 6;

/// Spans outside a memory of one page.
const WILD: [(i32, i32); 14] = [
    // past the end: by one byte, by the whole span
    (65_533, 4),
    (65_535, 2),
    (65_536, 1),
    (0, 65_537),
    // huge
    (i32::MAX, 1),
    (16, i32::MAX),
    (1 << 30, 1 << 20),
    // negative, which is huge too
    (-1, 1),
    (0, -1),
    (i32::MIN, 4),
    // the sum of the two overflows 32 bits, to a place inside the memory
    (-8, 16),
    (i32::MIN, i32::MIN),
    (-1, -1),
    (16, -8),
];

/// Starts a host whose handler answers an empty payload with an error and any other with an answer,
/// of 16 bytes each.
fn driver(subject: &Subject) -> Host {
    subject.host(Guest::new(DRIVER).answers(|call| {
        if call.payload.is_empty() {
            Err("an error of 16 B".into())
        } else {
            Ok(Bytes::from_static(b"an answer of 16B"))
        }
    }))
}

fn payload(which: i32, args: &[i32]) -> Vec<u8> {
    let mut numbers = [0i32; 9];
    numbers[0] = which;
    numbers[1..=args.len()].copy_from_slice(args);
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[track_caller]
fn traps(host: &Host, import: &str, which: i32, args: &[i32], (ptr, len): (i32, i32)) {
    let error = host.fails("drive", &payload(which, args), Failure::TRAPPED);
    says(&error, &[import, &format!("{ptr:#x}"), &(len as u32).to_string()]);
}

/// Passes each wild span to an import that takes a pointer and a length.
#[track_caller]
fn each_wild_span(subject: &Subject, import: &str, which: i32) {
    let host = driver(subject);
    for (ptr, len) in WILD {
        traps(&host, import, which, &[ptr, len], (ptr, len));
    }
}

fn response_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_span(subject, "__guest_response", RESPONSE);
}

fn error_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_span(subject, "__guest_error", ERROR);
}

fn log_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_span(subject, "__console_log", LOG);
}

/// Passes each wild pointer to an import that writes `length` bytes of the host's.
#[track_caller]
fn each_wild_pointer(subject: &Subject, import: &str, length: i32, args: impl Fn(i32) -> (i32, Vec<i32>)) {
    let host = driver(subject);
    for ptr in [65_536 - length + 1, 65_535, 65_536, i32::MAX, -1, -length, i32::MIN] {
        let (which, args) = args(ptr);
        traps(&host, import, which, &args, (ptr, length));
    }
}

fn request_operation_outside_memory_is_a_trap(subject: &Subject) {
    let length = "drive".len() as i32;
    each_wild_pointer(subject, "__guest_request", length, |ptr| (REQUEST, vec![ptr, 0]));
}

fn request_payload_outside_memory_is_a_trap(subject: &Subject) {
    let length = payload(0, &[]).len() as i32;
    each_wild_pointer(subject, "__guest_request", length, |ptr| (REQUEST, vec![0, ptr]));
}

fn host_response_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_pointer(subject, "__host_response", 16, |ptr| (HOST_RESPONSE, vec![ptr]));
}

fn host_error_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_pointer(subject, "__host_error", 16, |ptr| (HOST_ERROR, vec![ptr]));
}

/// Makes one of the four spans of a host call wild, while the others are fine.
#[track_caller]
fn each_wild_part(subject: &Subject, part: usize) {
    let host = driver(subject);
    for (ptr, len) in WILD {
        let mut args = [2048, 5, 2048, 5, 2048, 5, 2048, 5];
        (args[2 * part], args[2 * part + 1]) = (ptr, len);
        traps(&host, "__host_call", HOST_CALL, &args, (ptr, len));
    }
}

fn host_call_binding_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_part(subject, 0);
}

fn host_call_namespace_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_part(subject, 1);
}

fn host_call_operation_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_part(subject, 2);
}

fn host_call_payload_outside_memory_is_a_trap(subject: &Subject) {
    each_wild_part(subject, 3);
}

fn a_wild_host_call_is_a_trap_even_where_it_would_be_refused(subject: &Subject) {
    let host = driver(subject);
    // A binding of 2,000 bytes exceeds its limit, and on its own would only be refused.
    assert_eq!(host.number("drive", &payload(HOST_CALL, &[0, 2_000, 0, 1, 0, 1, 0, 1])), 0);
    let error =
        host.fails("drive", &payload(HOST_CALL, &[0, 2_000, 0, 1, 0, 1, 65_536, 1]), Failure::TRAPPED);
    says(&error, &["__host_call", "0x10000"]);
    // A wild span also traps where the host has no callback.
    let host = subject.host(Guest::new(DRIVER));
    host.fails("drive", &payload(HOST_CALL, &[0, 1, 0, 1, -1, 1, 0, 1]), Failure::TRAPPED);
}

fn spans_that_end_with_the_memory_are_inside(subject: &Subject) {
    let host = driver(subject);
    for (which, args) in [
        (REQUEST, &[65_536 - 5, 65_536 - 36][..]),
        (RESPONSE, &[65_532, 4]),
        (RESPONSE, &[0, 65_536]),
        (ERROR, &[0, 65_536]),
        (LOG, &[65_535, 1]),
        (HOST_RESPONSE, &[65_520]),
        (HOST_ERROR, &[65_520]),
    ] {
        assert_eq!(host.number("drive", &payload(which, args)), 0, "import {which} with {args:?}");
    }
    let args = [65_531, 5, 65_531, 5, 65_531, 5, 0, 65_536];
    // The names are zeros, which are UTF-8.
    assert_eq!(host.number("drive", &payload(HOST_CALL, &args)), 1);
    host.counted(9);
}

fn spans_of_length_zero_are_valid_whatever_their_pointer(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(Guest::new(DRIVER).log(&log).answers(|call| {
        assert_eq!((call.binding, call.namespace, call.operation, call.payload), ("", "", "", &[][..]));
        Ok(Bytes::new())
    }));
    let wild = [65_536, 65_537, i32::MAX, i32::MIN, -1];
    for ptr in wild {
        for which in [RESPONSE, ERROR, LOG] {
            assert_eq!(host.number("drive", &payload(which, &[ptr, 0])), 0, "import {which} at {ptr}");
        }
        assert_eq!(host.number("drive", &payload(HOST_CALL, &[ptr, 0, ptr, 0, ptr, 0, ptr, 0])), 1);
    }
    host.counted(4 * 5 + 1);
    assert_eq!(log.texts(), [""; 5]);

    // Empty bytes are written nowhere: an empty request, an empty answer, an empty error.
    let guest = |handler: &'static str| {
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (call $guest_request (i32.const -1) (i32.const -1))
                 (call $host_response (i32.const -1))
                 (call $host_error (i32.const -1))
                 (drop (call $ask (i32.const 0) (i32.const 0)))
                 (call $host_response (i32.const -1))
                 (call $host_error (i32.const 0x7fffffff))
                 (call $answer_i32 (i32.const 7)))"#,
        )
        .answers(move |_| if handler == "ok" { Ok(Bytes::new()) } else { Err("".into()) })
    };
    for handler in ["ok", "err"] {
        let host = subject.host(guest(handler));
        assert_eq!(host.number("", b""), 7);
        host.counted(2);
    }
}

fn overlapping_spans_are_served(subject: &Subject) {
    // The payload is written first, then the operation over it.
    let host = subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 1026) (i32.const 1024))
             (call $answer (i32.const 1024) (local.get $msg)))"#,
    ));
    assert_eq!(host.answer("opop", b"12345678"), b"12opop78");

    // The four parts of a host call share bytes; its answer lands on them, and the response
    // overlaps that.
    let host = subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (drop (call $host_call
                   (i32.const 0) (i32.const 4) (i32.const 1) (i32.const 4)
                   (i32.const 2) (i32.const 4) (i32.const 0) (i32.const 8)))
                 (call $host_response (i32.const 3))
                 (call $answer (i32.const 1) (i32.const 8)))
               (data (i32.const 0) "abcdefgh")"#,
        )
        .answers(|call| {
            let parts = (call.binding, call.namespace, call.operation, call.payload);
            assert_eq!(parts, ("abcd", "bcde", "cdef", &b"abcdefgh"[..]));
            Ok(Bytes::from_static(b"XYZ"))
        }),
    );
    assert_eq!(host.answer("run", b""), b"bcXYZgh\0");
}

fn a_refused_write_leaves_nothing_behind_in_the_next_instance(subject: &Subject) {
    // The payload fits at its pointer, the operation does not.
    let host = subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (if (i32.eq (local.get $op) (i32.const 4))
               (then (return (call $answer_i32 (i32.load (i32.const 512))))))
             (call $guest_request (i32.const 65535) (i32.const 512))
             (call $answer_i32 (i32.const 0)))"#,
    ));
    host.fails("write", b"secret!!", Failure::TRAPPED);
    assert_eq!(host.number("look", b""), 0, "bytes of a call that trapped are seen by the next one");
}

fn memory_that_grew_during_the_call_is_inside(subject: &Subject) {
    let host = subject.host(
        Guest::new(
            r#"(func $run (param $op i32) (param $msg i32) (result i32)
                 (drop (memory.grow (i32.const 3)))
                 (call $guest_request (i32.const 131072) (i32.const 262140))
                 (drop (call $ask (i32.const 262140) (i32.const 4)))
                 (drop (memory.grow (i32.const 1)))
                 (call $host_response (i32.const 262142))
                 (call $answer (i32.const 262140) (i32.const 8)))"#,
        )
        .answers(|call| Ok(Bytes::copy_from_slice(call.payload))),
    );
    assert_eq!(host.answer("grow", b"1234"), b"121234\0\0");
    host.counted(2);
}

fn pointers_above_two_gibibytes_are_unsigned(subject: &Subject) {
    // A memory of 2 GiB and 16 MiB, of which a few pages are touched. Pointers from 0x8000_0000 on
    // are negative as `i32`.
    let host = subject.host(
        Guest::with_memory(
            r#"(memory (export "memory") 1)"#,
            r#"(func $run (param $op i32) (param $msg i32) (result i32)
                 (if (i32.lt_u (memory.size) (i32.const 33024)) (then
                   (if (i32.eq (memory.grow (i32.const 33023)) (i32.const -1))
                     (then (return (call $fail (i32.const 0) (i32.const 15)))))))
                 ;; `over` reaches one byte past the end
                 (if (i32.eq (local.get $op) (i32.const 4))
                   (then (return (call $answer (i32.const 0x80ffffff) (i32.const 2)))))
                 (call $guest_request (i32.const 0x80000000) (i32.const 0x80800000))
                 (call $console_log (i32.const 0x80800000) (local.get $msg))
                 (drop (call $host_call
                   (i32.const 0x80000000) (local.get $op) (i32.const 0x80000000) (local.get $op)
                   (i32.const 0x80000000) (local.get $op) (i32.const 0x80800000) (local.get $msg)))
                 (call $host_response (i32.const 0x80fffff8))
                 (call $answer (i32.const 0x80fffff8) (i32.const 8)))
               (data (i32.const 0) "does not grow..")"#,
        )
        // An engine may have to zero the whole memory first.
        .limits(Limits::new().memory(4 << 30).deadline(Duration::from_secs(60)))
        .answers(|call| {
            assert_eq!((call.binding, call.namespace, call.operation), ("higher", "higher", "higher"));
            Ok(Bytes::from(call.payload.to_ascii_uppercase()))
        }),
    );
    assert_eq!(host.answer("higher", b"pointers"), b"POINTERS");
    let error = host.fails("over", b"", Failure::TRAPPED);
    says(&error, &["__guest_response", "0x80ffffff", &(33_024u64 * 65_536).to_string()]);
}
