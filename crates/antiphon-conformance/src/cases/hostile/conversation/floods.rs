//! Floods: far more of everything than a guest needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon::{Bytes, HostCall, Limits};

use crate::suite::{Case, Guest, Need, Subject, case};
use crate::support::{Failure, Said, says};

/// The memory that a flood may take if the host should keep nothing of it.
const LITTLE: u64 = 48 << 20;
const TIME: Duration = Duration::from_secs(5);

pub(super) const CASES: &[Case] = &[
    case!(hostile_floods::a_flood_of_requests_is_served).within(TIME, LITTLE),
    case!(hostile_floods::a_flood_of_small_responses_leaves_the_last).within(TIME, LITTLE),
    case!(hostile_floods::a_flood_of_large_responses_leaves_the_last).within(TIME, LITTLE),
    case!(hostile_floods::a_flood_of_errors_leaves_the_last).within(TIME, LITTLE),
    case!(hostile_floods::a_flood_of_error_texts_as_large_as_memory_is_cut_each_time).within(TIME, 128 << 20),
    case!(hostile_floods::the_handler_never_sees_the_host_call_over_the_limit).within(TIME, LITTLE),
    case!(hostile_floods::wild_host_calls_in_a_flood_end_at_the_first).within(TIME, LITTLE),
    case!(hostile_floods::refused_host_calls_are_counted_without_a_handler).within(TIME, LITTLE),
    case!(hostile_floods::a_refused_payload_is_not_charged_to_the_bytes).within(TIME, LITTLE),
    case!(hostile_floods::arguments_alone_spend_the_default_bytes).within(TIME, LITTLE),
    case!(hostile_floods::answers_alone_spend_the_default_bytes).within(TIME, LITTLE),
    case!(hostile_floods::arguments_and_answers_spend_the_bytes_together).within(TIME, LITTLE),
    case!(hostile_floods::the_byte_that_is_one_too_many_may_be_an_arguments).within(TIME, LITTLE),
    case!(hostile_floods::the_byte_that_is_one_too_many_may_be_an_answers).within(TIME, LITTLE),
    case!(hostile_floods::budgets_begin_anew_with_each_call).within(TIME, LITTLE),
    case!(hostile_floods::a_flood_of_errors_of_the_handler_is_served).within(TIME, LITTLE),
    case!(hostile_floods::the_longest_names_a_thousand_times_are_served).within(TIME, LITTLE),
    case!(hostile_floods::reading_the_hosts_answer_without_end_is_served_until_the_deadline)
        .needs(&[Need::Deadline])
        .within(TIME, LITTLE),
    case!(hostile_floods::reading_the_hosts_error_many_times_is_served).within(TIME, LITTLE),
];

/// Returns code that repeats `piece`; `$n` counts down from `times` to 1.
fn repeat(times: u32, piece: &str) -> String {
    format!(
        "(local.set $n (i32.const {times}))
         (loop $again
           {piece}
           (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    )
}

fn run(body: &str) -> String {
    format!("(func $run (param $op i32) (param $msg i32) (result i32) (local $n i32) (local $at i32) {body})")
}

/// 65 pages: a payload of the largest size, and the page that the suite's guests use.
const LARGE: &str = r#"(memory (export "memory") 65)"#;

fn a_flood_of_requests_is_served(subject: &Subject) {
    let flood = repeat(100_000, "(call $guest_request (i32.const 512) (i32.const 1024))");
    let host =
        subject.host(Guest::new(&run(&format!("{flood} (call $answer (i32.const 1024) (i32.const 4))"))));
    assert_eq!(host.answer("run", b"same"), b"same");
    host.counted(2);
}

fn a_flood_of_small_responses_leaves_the_last(subject: &Subject) {
    let flood = repeat(100_000, "(drop (call $answer_i32 (local.get $n)))");
    let host = subject.host(Guest::new(&run(&format!("{flood} (i32.const 1)"))));
    assert_eq!(host.number("run", b""), 1);
    host.counted(2);
}

fn a_flood_of_large_responses_leaves_the_last(subject: &Subject) {
    // The largest response that is allowed, many times, then a small one.
    let flood = repeat(200, "(call $guest_response (i32.const 0) (i32.const 4194304))");
    let body = format!("{flood} (call $answer_i32 (i32.const 77))");
    let host = subject.host(Guest::with_memory(LARGE, &run(&body)));
    assert_eq!(host.number("run", b""), 77);
    host.counted(2);
}

fn a_flood_of_errors_leaves_the_last(subject: &Subject) {
    let flood = repeat(20_000, "(call $guest_error (i32.const 0) (local.get $n))");
    let host = subject.host(Guest::with_memory(LARGE, &run(&format!("{flood} (i32.const 0)"))));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), Some("\0"), "the last one has a single byte");
}

fn a_flood_of_error_texts_as_large_as_memory_is_cut_each_time(subject: &Subject) {
    // 64 MiB that are not UTF-8: to decode all of it even once would take three times as much
    // memory.
    let flood = repeat(300, "(call $guest_error (i32.const 0) (i32.const 0x4000000))");
    let body =
        format!("(memory.fill (i32.const 0) (i32.const 0xff) (i32.const 0x4000000)) {flood} (i32.const 0)");
    let host = subject.host(Guest::with_memory(r#"(memory (export "memory") 1024)"#, &run(&body)));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    let text = error.guest_error().unwrap();
    let cut = text.trim_start_matches('\u{fffd}');
    assert_eq!((text.len() - cut.len()) / '\u{fffd}'.len_utf8(), 65_536);
    assert!(!cut.is_empty() && cut.len() < 100, "not marked: {cut:?}");
}

/// Returns a guest that calls the host forever, with `argument` bytes each time.
fn asking(argument: u32) -> Guest {
    Guest::with_memory(
        LARGE,
        &run(&format!(
            "(loop $again (drop (call $ask (i32.const 0) (i32.const {argument}))) (br $again)) unreachable"
        )),
    )
}

/// Runs such a guest to the end of its budget, and returns how many calls the handler got.
#[track_caller]
fn handled(subject: &Subject, guest: Guest, limit: u64, answer: fn(HostCall<'_>) -> Said) -> u64 {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let host = subject.host(guest.answers(move |call| {
        counter.fetch_add(1, Ordering::Relaxed);
        answer(call)
    }));
    let error = host.fails("run", b"", Failure::HOST_CALL_LIMIT);
    says(&error, &[&limit.to_string()]);
    assert!(error.is_limit());
    calls.load(Ordering::Relaxed)
}

fn nothing(_: HostCall<'_>) -> Said {
    Ok(Bytes::new())
}

fn the_handler_never_sees_the_host_call_over_the_limit(subject: &Subject) {
    assert_eq!(handled(subject, asking(0), 1000, nothing), 1000);
    let limits = Limits::new().host_calls(1);
    assert_eq!(handled(subject, asking(9).limits(limits), 1, nothing), 1);
}

fn wild_host_calls_in_a_flood_end_at_the_first(subject: &Subject) {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    // 4 MiB fit into the memory once, but not four times.
    let body = "(loop $again
         (drop (call $ask (local.get $at) (i32.const 0x400000)))
         (local.set $at (i32.add (local.get $at) (i32.const 65536)))
         (br $again))
       unreachable";
    let host = subject.host(Guest::with_memory(LARGE, &run(body)).answers(move |call| {
        counter.fetch_add(call.payload.len() as u64, Ordering::Relaxed);
        nothing(call)
    }));
    says(host.fails("run", b"", Failure::TRAPPED), &["__host_call", "0x20000"]);
    assert_eq!(calls.load(Ordering::Relaxed), 2 * 0x40_0000);
}

fn refused_host_calls_are_counted_without_a_handler(subject: &Subject) {
    let limits = Limits::new().host_payload(10);
    let seen = handled(subject, asking(11).limits(limits), 1000, nothing);
    assert_eq!(seen, 0, "the handler saw a payload over the limit");
}

fn a_refused_payload_is_not_charged_to_the_bytes(subject: &Subject) {
    // Twenty refused calls of 2,000 bytes each, then one of 100 that passes.
    let flood = repeat(20, "(drop (call $ask (i32.const 0) (i32.const 2000)))");
    let body = format!("{flood} (call $answer_i32 (call $ask (i32.const 0) (i32.const 100)))");
    let limits = Limits::new().host_payload(1000).host_call_bytes(100);
    let host = subject.host(Guest::new(&run(&body)).limits(limits).answers(nothing));
    assert_eq!(host.number("run", b""), 1);
    host.counted(2);
}

fn arguments_alone_spend_the_default_bytes(subject: &Subject) {
    // 256 MiB in 64 calls of 4 MiB, which a host must not keep. The number of calls alone would
    // allow 1,000 calls of 4 MiB each way, 8 GiB of copying.
    assert_eq!(handled(subject, asking(4 << 20), 256 << 20, nothing), 64);
}

fn answers_alone_spend_the_default_bytes(subject: &Subject) {
    // The handler makes the 65th answer, but the host does not keep it for the guest.
    let seen = handled(subject, asking(0), 256 << 20, |_| Ok(vec![7; 4 << 20].into()));
    assert_eq!(seen, 65);
}

fn arguments_and_answers_spend_the_bytes_together(subject: &Subject) {
    // 60 and 40 bytes: ten calls reach the limit exactly, and the eleventh ends before its handler
    // runs.
    let limits = Limits::new().host_call_bytes(1000);
    let seen = handled(subject, asking(60).limits(limits), 1000, |_| Ok(vec![7; 40].into()));
    assert_eq!(seen, 10);
    // A budget of zero bytes allows calls of zero bytes.
    let limits = Limits::new().host_call_bytes(0).host_calls(25);
    assert_eq!(handled(subject, asking(0).limits(limits), 25, nothing), 25);
}

fn the_byte_that_is_one_too_many_may_be_an_arguments(subject: &Subject) {
    let limits = Limits::new().host_call_bytes(999);
    let seen = handled(subject, asking(100).limits(limits), 999, nothing);
    assert_eq!(seen, 9, "the tenth argument is over the limit, and reaches no handler");
}

fn the_byte_that_is_one_too_many_may_be_an_answers(subject: &Subject) {
    let limits = Limits::new().host_call_bytes(999);
    let seen = handled(subject, asking(1).limits(limits), 999, |_| Ok(vec![7; 99].into()));
    assert_eq!(seen, 10, "the tenth argument is within the limit, its answer is not");
}

fn budgets_begin_anew_with_each_call(subject: &Subject) {
    // Each call spends both budgets completely, and each succeeds.
    let flood = repeat(10, "(if (i32.eqz (call $ask (i32.const 0) (i32.const 30))) (then unreachable))");
    let body = format!("{flood} (call $answer_i32 (i32.const 5))");
    let limits = Limits::new().host_calls(10).host_call_bytes(500);
    let host = subject.host(Guest::new(&run(&body)).limits(limits).answers(|_| Ok(vec![7; 20].into())));
    for _ in 0..50 {
        assert_eq!(host.number("run", b""), 5);
    }
    host.counted(51);
}

fn a_flood_of_errors_of_the_handler_is_served(subject: &Subject) {
    // Each error has a megabyte, of which the guest may read 64 KiB and the mark.
    let flood = repeat(
        100,
        "(if (call $ask (i32.const 0) (i32.const 0)) (then unreachable))
         (if (i32.gt_u (call $host_error_len) (i32.const 65700)) (then unreachable))
         (call $host_error (i32.const 0x10000))",
    );
    let body = format!("{flood} (call $answer_i32 (i32.load16_u (i32.const 0x10000)))");
    let host =
        subject.host(Guest::with_memory(LARGE, &run(&body)).answers(|_| Err("no".repeat(1 << 19).into())));
    assert_eq!(host.number("run", b""), i32::from(u16::from_le_bytes(*b"no")));
}

fn the_longest_names_a_thousand_times_are_served(subject: &Subject) {
    let name = "(i32.const 0) (i32.const 1024)";
    let flood = repeat(
        1000,
        &format!("(if (i32.eqz (call $host_call {name} {name} {name} {name})) (then unreachable))"),
    );
    let host = subject.host(Guest::new(&run(&format!("{flood} (call $answer_i32 (i32.const 6))"))).answers(
        |call| {
            let lengths = [call.binding, call.namespace, call.operation].map(str::len);
            if lengths == [1024; 3] { nothing(call) } else { Err("cut".into()) }
        },
    ));
    assert_eq!(host.number("run", b""), 6);
}

fn reading_the_hosts_answer_without_end_is_served_until_the_deadline(subject: &Subject) {
    let body = "(drop (call $ask (i32.const 0) (i32.const 0)))
       (loop $again
         (if (i32.ne (call $host_response_len) (i32.const 0x400000)) (then unreachable))
         (call $host_response (i32.const 0))
         (br $again))
       unreachable";
    let guest = Guest::with_memory(LARGE, &run(body))
        .limits(Limits::new().deadline(Duration::from_millis(80)))
        .answers(|_| Ok(vec![7; 4 << 20].into()));
    subject.host(guest).fails("run", b"", Failure::DEADLINE_IN_GUEST);
}

fn reading_the_hosts_error_many_times_is_served(subject: &Subject) {
    let flood = repeat(
        50_000,
        "(if (i32.ne (call $host_error_len) (i32.const 7)) (then unreachable))
         (call $host_error (i32.const 512))",
    );
    let body = format!(
        "(drop (call $ask (i32.const 0) (i32.const 0))) {flood}
         (call $fail (i32.const 512) (call $host_error_len))"
    );
    let host = subject.host(Guest::new(&run(&body)).answers(|_| Err("seventh".into())));
    assert_eq!(host.fails("run", b"", Failure::GUEST_FAILED).guest_error(), Some("seventh"));
}
