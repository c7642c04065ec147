//! What a module that AssemblyScript's compiler made imports beside waPC: `trace` and `seed`. Its
//! `abort` is among the traps.

use std::time::{Duration, Instant};

use antiphon::{Limits, LogStream};

use crate::cases::engine::{CLOCK, SEED, STREAM_OF_ZERO};
use crate::suite::{Case, Guest, Host, Line, Log, Need, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(assembly_script::a_trace_is_a_line_of_the_log_with_as_many_numbers_as_it_says),
    case!(assembly_script::a_trace_with_a_wild_pointer_or_count_is_a_line_without_it),
    case!(assembly_script::a_long_or_broken_trace_is_cut_and_made_harmless),
    case!(assembly_script::a_flood_of_traces_is_dropped_and_the_guest_lives),
    case!(assembly_script::a_flood_of_traces_ends_by_its_deadline).needs(&[Need::Deadline]).alone(),
    case!(assembly_script::a_start_section_may_trace),
    case!(assembly_script::a_trace_of_another_type_is_refused),
    case!(assembly_script::a_seed_is_another_number_in_each_instance).needs(&[Need::Wasi]),
    case!(assembly_script::a_seed_is_drawn_from_the_same_stream_as_the_random_bytes_of_wasi)
        .keeps_state()
        .needs(&[Need::Wasi, Need::Deterministic]),
    case!(assembly_script::a_seed_in_the_start_section_is_served).needs(&[Need::Wasi]),
    case!(assembly_script::a_seed_of_another_type_or_without_wasi_is_refused).needs(&[Need::Wasi]),
];

const TRACE: &str = r#"(func $trace (import "env" "trace") (param i32 i32 f64 f64 f64 f64 f64))"#;
const NUMBERS: &str = "(f64.const 1) (f64.const -0.5) (f64.const 1e300) (f64.const nan) (f64.const -inf)";

/// Returns a guest that traces with the pointer and the count of its payload. At 64 is the string
/// "ünfug".
fn tracer() -> Guest {
    Guest::with_memory(
        r#"(memory (export "memory") 2)"#,
        &format!(
            r#"{TRACE}
               (func $run (param i32 i32) (result i32)
                 (call $guest_request (i32.const 512) (i32.const 0))
                 (call $trace (i32.load (i32.const 0)) (i32.load (i32.const 4)) {NUMBERS})
                 (call $answer (i32.const 0) (i32.const 0)))
               (data (i32.const 60) "\0a\00\00\00\fc\00n\00f\00u\00g\00")
               ;; a lone surrogate and an escape between two letters
               (data (i32.const 252) "\08\00\00\00a\00\00\d8\1b\00b\00")
               ;; 100,000 bytes
               (data (i32.const 1020) "\a0\86\01\00x\00y\00")
               ;; longer than the memory
               (data (i32.const 316) "\ff\ff\ff\ffx\00")"#
        ),
    )
}

#[track_caller]
fn traces(host: &Host, log: &Log, pointer: i32, count: i32) -> String {
    host.answer("run", &[pointer.to_le_bytes(), count.to_le_bytes()].concat());
    let [text] = <[String; 1]>::try_from(log.texts()).expect("one line");
    text
}

fn a_trace_is_a_line_of_the_log_with_as_many_numbers_as_it_says(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(tracer().log(&log));
    for (count, line) in [
        (0, "trace: ünfug"),
        (1, "trace: ünfug 1"),
        (2, "trace: ünfug 1, -0.5"),
        (5, "trace: ünfug 1, -0.5, 1e300, NaN, -inf"),
    ] {
        assert_eq!(traces(&host, &log, 64, count), line);
    }
    host.answer("run", &[64_i32.to_le_bytes(), [0; 4]].concat());
    let (operation, stream) = ("run".to_owned(), LogStream::Console);
    let text = "trace: ünfug".to_owned();
    assert_eq!(log.take(), [Line { host_id: host.id(), operation, stream, text }]);
    host.counted(6);
}

fn a_trace_with_a_wild_pointer_or_count_is_a_line_without_it(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(tracer().log(&log));
    for pointer in [0, -1, i32::MIN, i32::MAX, 131_072, 131_076, 1, 3, 320] {
        assert_eq!(traces(&host, &log, pointer, 1), "trace:  1");
    }
    for count in [-1, i32::MIN] {
        assert_eq!(traces(&host, &log, 64, count), "trace: ünfug");
    }
    for count in [6, i32::MAX] {
        assert_eq!(traces(&host, &log, 64, count), "trace: ünfug 1, -0.5, 1e300, NaN, -inf");
    }
    host.counted(14);
}

fn a_long_or_broken_trace_is_cut_and_made_harmless(subject: &Subject) {
    let log = Log::default();
    let limits = Limits::new().log_line(100);
    let host = subject.host(tracer().log(&log).limits(limits));
    assert_eq!(traces(&host, &log, 256, 0), "trace: a\u{fffd}\\u{1b}b");
    let long = traces(&host, &log, 1024, 5);
    says(&long, &["trace: xy", "[truncated]"]);
    assert!(long.len() < 500, "{} bytes of text where the limit is 100", long.len());
}

/// Traces in a loop without end if the operation has four letters, and otherwise 1,000 times.
fn flooder() -> Guest {
    Guest::new(&format!(
        r#"{TRACE}
           (func $run (param $op i32) (param $left i32) (result i32)
             (local.set $left (i32.const 1000))
             (loop $next
               (call $trace (i32.const 64) (i32.const 5) {NUMBERS})
               (local.set $left (i32.sub (local.get $left) (i32.const 1)))
               (br_if $next (i32.or (local.get $left) (i32.eq (local.get $op) (i32.const 4)))))
             (call $answer (i32.const 0) (i32.const 0)))
           (data (i32.const 60) "\04\00\00\00o\00k\00")"#
    ))
}

fn a_flood_of_traces_is_dropped_and_the_guest_lives(subject: &Subject) {
    let log = Log::default();
    let line = "trace: ok 1, -0.5, 1e300, NaN, -inf";
    let host = subject.host(flooder().log(&log).limits(Limits::new().log(10 * line.len() as u64)));
    for _ in 0..2 {
        host.answer("flood", b"");
        assert_eq!(log.texts(), [line; 10], "each call has a budget of its own");
    }
    host.counted(3);
}

fn a_flood_of_traces_ends_by_its_deadline(subject: &Subject) {
    let limits = Limits::new().deadline(Duration::from_millis(50));
    let host = subject.host(flooder().log(&Log::default()).limits(limits));
    let begun = Instant::now();
    Failure::DEADLINE_IN_GUEST.check(&host.call("spin", b"").unwrap_err());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    host.counted(1);
}

fn a_start_section_may_trace(subject: &Subject) {
    let log = Log::default();
    let body = format!(
        r#"{TRACE} (start $go)
           (func $go (call $trace (i32.const 64) (i32.const 1) {NUMBERS}))
           (func $run (param i32 i32) (result i32) (call $answer_i32 (i32.const 5)))
           (data (i32.const 60) "\04\00\00\00o\00k\00")"#
    );
    assert_eq!(subject.host(Guest::new(&body).log(&log)).number("run", b""), 5);
    let mut texts = log.texts();
    // Where each call has an instance of its own, there was a second start.
    texts.dedup();
    assert_eq!(texts, ["trace: ok 1"]);
}

fn a_trace_of_another_type_is_refused(subject: &Subject) {
    let body = r#"(func (import "env" "trace") (param i32 i32 f64))
                  (func $run (param i32 i32) (result i32) unreachable)"#;
    let error = subject.refuses(Guest::new(body), Failure::INVALID_MODULE);
    says(&error, &["import env.trace has type func(i32, i32, f64), expected func(i32, i32, f64, "]);
}

/// Answers a seed and eight bytes of `random_get`.
const SEEDED: &str = r#"
  (func $seed (import "env" "seed") (result f64))
  (func $random_get (import "wasi_snapshot_preview1" "random_get") (param i32 i32) (result i32))
  (func $run (param i32 i32) (result i32)
    (f64.store (i32.const 0) (call $seed))
    (if (call $random_get (i32.const 8) (i32.const 8)) (then unreachable))
    (call $answer (i32.const 0) (i32.const 16)))"#;

/// Answers a seed, and imports nothing of WASI.
const SEED_ALONE: &str = r#"
  (func $seed (import "env" "seed") (result f64))
  (func $run (param i32 i32) (result i32)
    (f64.store (i32.const 0) (call $seed))
    (call $answer (i32.const 0) (i32.const 8)))"#;

#[track_caller]
fn seed(host: &Host) -> u64 {
    u64::from_le_bytes(host.answer("run", b"")[..8].try_into().unwrap())
}

/// Returns the seed that is made of eight random bytes.
fn seed_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap()) >> 2 | 1
}

fn a_seed_is_another_number_in_each_instance(subject: &Subject) {
    for body in [SEEDED, SEED_ALONE] {
        let mut seeds: Vec<u64> = (0..20).map(|_| seed(&subject.host(Guest::new(body)))).collect();
        for seed in seeds.iter().map(|seed| f64::from_bits(*seed)) {
            assert!(seed > 0.0 && seed.is_finite(), "{seed:?}");
        }
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 20);
    }
}

fn a_seed_is_drawn_from_the_same_stream_as_the_random_bytes_of_wasi(subject: &Subject) {
    let host = subject.host(Guest::new(SEEDED).deterministic(0, CLOCK));
    for bytes in STREAM_OF_ZERO.chunks(16) {
        let answer = host.answer("run", b"");
        assert_eq!(u64::from_le_bytes(answer[..8].try_into().unwrap()), seed_of(&bytes[..8]));
        assert_eq!(answer[8..], bytes[8..]);
    }
    let alone = |seed_| seed(&subject.host(Guest::new(SEED_ALONE).deterministic(seed_, CLOCK)));
    assert_eq!(alone(0), seed_of(&STREAM_OF_ZERO[..8]));
    assert_eq!(alone(SEED), alone(SEED));
    assert_ne!(alone(SEED), alone(0));
}

fn a_seed_in_the_start_section_is_served(subject: &Subject) {
    let body = r#"(func $seed (import "env" "seed") (result f64))
        (global $seeded (mut f64) (f64.const 0))
        (start $go)
        (func $go (global.set $seeded (call $seed)))
        (func $run (param i32 i32) (result i32)
          (f64.store (i32.const 0) (global.get $seeded))
          (call $answer (i32.const 0) (i32.const 8)))"#;
    assert_ne!(seed(&subject.host(Guest::new(body))), 0);
}

fn a_seed_of_another_type_or_without_wasi_is_refused(subject: &Subject) {
    let body = r#"(func (import "env" "seed") (result i64))
                  (func $run (param i32 i32) (result i32) unreachable)"#;
    let error = subject.refuses(Guest::new(body), Failure::INVALID_MODULE);
    says(&error, &["import env.seed has type func() -> i64, expected func() -> f64"]);
    let error = subject.refuses(Guest::new(SEED_ALONE).wasi(false), Failure::INVALID_MODULE);
    says(&error, &["import env.seed (func() -> f64) is unknown"]);
}
