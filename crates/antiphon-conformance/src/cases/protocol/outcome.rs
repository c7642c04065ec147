//! The outcome table: the result of `__guest_call`, combined with what the guest had set.

use antiphon::{Bytes, CancelHandle, Request};

use crate::suite::{Case, Guest, Host, Mode, Subject, case};
use crate::support::{Failure, panic_quietly, says};

pub(super) const CASES: &[Case] = &[
    case!(outcome::non_zero_with_a_response_is_the_response),
    case!(outcome::a_response_wins_over_an_error_that_is_set_too),
    case!(outcome::any_return_value_but_zero_is_success),
    case!(outcome::non_zero_with_only_an_error_is_a_guest_failure),
    case!(outcome::non_zero_with_nothing_set_is_misbehaviour),
    case!(outcome::zero_with_an_error_is_a_guest_failure_with_its_text),
    case!(outcome::zero_without_an_error_says_that_none_was_set),
    case!(outcome::zero_after_a_response_is_a_guest_failure),
    case!(outcome::a_trap_after_an_error_carries_its_text),
    case!(outcome::an_empty_response_is_a_response),
    case!(outcome::the_last_response_wins),
    case!(outcome::the_last_error_wins),
    case!(outcome::an_error_text_that_is_not_utf8_is_decoded_lossily),
    case!(outcome::an_error_text_over_its_limit_is_cut_at_a_character_and_marked),
    case!(outcome::nothing_set_in_one_call_is_seen_in_the_next),
    case!(outcome::every_byte_of_operation_and_payload_arrives),
    case!(outcome::empty_operation_and_payload_arrive),
    case!(outcome::a_payload_of_a_megabyte_goes_in_and_out),
    case!(outcome::owned_and_shared_payloads_arrive_like_borrowed_ones),
    case!(outcome::asking_twice_for_the_request_gives_it_twice),
    case!(outcome::not_asking_for_the_request_is_harmless),
    case!(outcome::an_answer_into_a_buffer_replaces_what_it_held),
    case!(outcome::an_answer_is_read_in_place).only(&[Mode::Sync]),
    case!(outcome::a_reader_that_panics_costs_the_instance).only(&[Mode::Sync]),
    case!(outcome::usage_counts_bytes_and_host_calls),
];

/// Answers the payload.
pub(crate) const ECHO: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (call $guest_request (i32.const 1024) (i32.const 4096))
    (call $answer (i32.const 4096) (local.get $msg)))
"#;

fn non_zero_with_a_response_is_the_response(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_response (i32.const 0) (i32.const 5))
             (i32.const 1))
           (data (i32.const 0) "hello")"#,
    ));
    assert_eq!(host.answer("run", b""), b"hello");
    // A normal return keeps the instance.
    assert_eq!(host.answer("run", b""), b"hello");
    host.counted(3);
}

fn a_response_wins_over_an_error_that_is_set_too(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_error (i32.const 8) (i32.const 4))
             (call $guest_response (i32.const 0) (i32.const 4))
             (call $guest_error (i32.const 8) (i32.const 4))
             (i32.const 1))
           (data (i32.const 0) "fine") (data (i32.const 8) "oops")"#,
    ));
    assert_eq!(host.answer("run", b""), b"fine");
    host.counted(2);
}

fn any_return_value_but_zero_is_success(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 64) (i32.const 0))
             (call $guest_response (i32.const 0) (i32.const 4))
             (i32.load (i32.const 0)))"#,
    ));
    for value in [1, 2, 256, 0x0100_0000, -1, i32::MIN, i32::MAX] {
        assert_eq!(host.number("run", &value.to_le_bytes()), value);
    }
}

fn non_zero_with_only_an_error_is_a_guest_failure(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_error (i32.const 0) (i32.const 4))
             (i32.const 1))
           (data (i32.const 0) "oops")"#,
    ));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!((error.guest_error(), error.to_string().as_str()), (Some("oops"), "Guest call failure: oops"));
}

fn non_zero_with_nothing_set_is_misbehaviour(subject: &Subject) {
    let host = subject.host(Guest::new("(func $run (param i32 i32) (result i32) (i32.const 1))"));
    let error = host.fails("run", b"", Failure::MISBEHAVED);
    assert_eq!(error.guest_error(), None);
}

fn zero_with_an_error_is_a_guest_failure_with_its_text(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32) (call $fail (i32.const 0) (i32.const 10)))
           (data (i32.const 0) "out of tea")"#,
    ));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), Some("out of tea"));
    assert_eq!(error.to_string(), "Guest call failure: out of tea");
    assert!(error.is_guest_failure());
}

fn zero_without_an_error_says_that_none_was_set(subject: &Subject) {
    let host = subject.host(Guest::new("(func $run (param i32 i32) (result i32) (i32.const 0))"));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), None);
    says(&error, &["Guest call failure: ", "No error message"]);
}

fn zero_after_a_response_is_a_guest_failure(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_response (i32.const 0) (i32.const 4))
             (i32.const 0))"#,
    ));
    assert_eq!(host.fails("run", b"", Failure::GUEST_FAILED).guest_error(), None);
}

fn a_trap_after_an_error_carries_its_text(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_error (i32.const 0) (i32.const 9))
             unreachable)
           (data (i32.const 0) "last word")"#,
    ));
    assert_eq!(host.fails("run", b"", Failure::TRAPPED).guest_error(), Some("last word"));
}

fn an_empty_response_is_a_response(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $run (param i32 i32) (result i32) (call $answer (i32.const 0) (i32.const 0)))",
    ));
    assert_eq!(host.answer("run", b"some payload"), b"");
    host.counted(2);
}

fn the_last_response_wins(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_response (i32.const 0) (i32.const 12))
             (call $guest_response (i32.const 16) (i32.const 6))
             (i32.const 1))
           (data (i32.const 0) "first, longer") (data (i32.const 16) "second")"#,
    ));
    assert_eq!(host.answer("run", b""), b"second");
}

fn the_last_error_wins(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_error (i32.const 0) (i32.const 12))
             (call $fail (i32.const 16) (i32.const 6)))
           (data (i32.const 0) "first, longer") (data (i32.const 16) "second")"#,
    ));
    assert_eq!(host.fails("run", b"", Failure::GUEST_FAILED).guest_error(), Some("second"));
}

fn an_error_text_that_is_not_utf8_is_decoded_lossily(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32) (call $fail (i32.const 0) (i32.const 4)))
           (data (i32.const 0) "a\ff\c3z")"#,
    ));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), Some("a\u{fffd}\u{fffd}z"));
}

fn an_error_text_over_its_limit_is_cut_at_a_character_and_marked(subject: &Subject) {
    // 65,535 times 'x', then characters of two bytes: the limit of 65,536 bytes falls inside the
    // first of these.
    let guest = Guest::with_memory(
        r#"(memory (export "memory") 4)"#,
        r#"(func $run (param i32 i32) (result i32)
             (memory.fill (i32.const 65536) (i32.const 120) (i32.const 65535))
             (i32.store (i32.const 131071) (i32.const 0xa9c3a9c3)) ;; 'é', twice
             (call $fail (i32.const 65536) (i32.const 65539)))"#,
    );
    let host = subject.host(guest);
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    let text = error.guest_error().unwrap();
    let cut = text.trim_start_matches('x');
    assert_eq!(text.len() - cut.len(), 65_535);
    assert!(!cut.is_empty() && !cut.contains('é') && !cut.contains('\u{fffd}'), "not marked: {cut:?}");
}

fn nothing_set_in_one_call_is_seen_in_the_next(subject: &Subject) {
    // `set` sets both and returns what the payload says. `none` sets nothing and returns what the
    // payload says.
    let host = subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 64) (i32.const 0))
             (if (i32.eq (local.get $op) (i32.const 3)) (then
               (call $guest_error (i32.const 32) (i32.const 6))
               (call $guest_response (i32.const 32) (i32.const 6))))
             (i32.load8_u (i32.const 0)))
           (data (i32.const 32) "secret")"#,
    ));
    assert_eq!(host.answer("set", &[1]), b"secret");
    host.fails("none", &[1], Failure::MISBEHAVED);
    assert_eq!(host.answer("set", &[1]), b"secret");
    assert_eq!(host.fails("none", &[0], Failure::GUEST_FAILED).guest_error(), None);
    assert_eq!(host.fails("set", &[0], Failure::GUEST_FAILED).guest_error(), Some("secret"));
    assert_eq!(host.fails("none", &[0], Failure::GUEST_FAILED).guest_error(), None);
    host.fails("none", &[1], Failure::MISBEHAVED);
}

/// Answers the operation, then the payload.
fn parrot(subject: &Subject) -> Host {
    subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 1024) (i32.add (i32.const 1024) (local.get $op)))
             (call $answer (i32.const 1024) (i32.add (local.get $op) (local.get $msg))))"#,
    ))
}

fn every_byte_of_operation_and_payload_arrives(subject: &Subject) {
    let host = parrot(subject);
    let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let operation = "operation with é, \u{0} and \u{10ffff}";
    assert_eq!(host.answer(operation, &bytes), [operation.as_bytes(), &bytes].concat());
}

fn empty_operation_and_payload_arrive(subject: &Subject) {
    let host = parrot(subject);
    assert_eq!(host.answer("", b""), b"");
    assert_eq!(host.answer("", b"payload"), b"payload");
    assert_eq!(host.answer("operation", b""), b"operation");
}

fn a_payload_of_a_megabyte_goes_in_and_out(subject: &Subject) {
    let host = subject.host(Guest::with_memory(r#"(memory (export "memory") 40)"#, ECHO));
    let bytes: Vec<u8> = (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(host.answer("echo", &bytes) == bytes, "a megabyte came back changed");
}

fn owned_and_shared_payloads_arrive_like_borrowed_ones(subject: &Subject) {
    let host = parrot(subject);
    let expected = b"op payload";
    assert_eq!(host.call_with(Request::new("op", b" payload")).unwrap().payload, expected);
    assert_eq!(host.call_with(Request::new("op", b" payload".to_vec())).unwrap().payload, expected);
    let shared = Bytes::from_static(b"a payload").slice(1..);
    assert_eq!(host.call_with(Request::new("op", shared)).unwrap().payload, expected);
    // The buffer of a borrowed payload is reused: a short payload must show nothing of a longer one
    // before it.
    assert_eq!(host.answer("op", b"!"), b"op!");
}

fn asking_twice_for_the_request_gives_it_twice(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 1024) (i32.const 0))
             (memory.fill (i32.const 0) (i32.const 0) (i32.const 64))
             (call $guest_request (i32.const 2048) (local.get $msg))
             (call $guest_request (i32.const 1024) (i32.const 0))
             (call $answer (i32.const 0) (i32.mul (local.get $msg) (i32.const 2))))"#,
    ));
    assert_eq!(host.answer("run", b"twice"), b"twicetwice");
    host.counted(2);
}

fn not_asking_for_the_request_is_harmless(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $answer_i32 (i32.add (local.get $op) (local.get $msg))))"#,
    ));
    assert_eq!(host.number("run", b"unread"), 9);
    assert_eq!(host.number("run", b""), 3);
    host.counted(3);
}

fn an_answer_into_a_buffer_replaces_what_it_held(subject: &Subject) {
    let host = parrot(subject);
    let mut answer = b"what was there before, and is longer".to_vec();
    assert_eq!(host.call_into("op", b" one", &mut answer).unwrap(), 6);
    assert_eq!(answer, b"op one");
    assert_eq!(host.call_into("op", b"", &mut answer).unwrap(), 2);
    assert_eq!(answer, b"op");

    let host = subject.host(Guest::new("(func $run (param i32 i32) (result i32) (i32.const 0))"));
    Failure::GUEST_FAILED.check(&host.call_into("run", b"", &mut answer).unwrap_err());
    assert_eq!(answer, b"", "nothing is left in the buffer after a failure");
}

fn an_answer_is_read_in_place(subject: &Subject) {
    let Host::Sync(host) = parrot(subject) else { unreachable!("the case runs in the sync mode only") };
    let length = host.call_ref(Request::new("op", b" in place"), |answer| {
        assert_eq!(answer, b"op in place");
        answer.len()
    });
    assert_eq!(length.unwrap(), 11);

    // With an owned payload, and with options.
    let request = || Request::new("op", b" in place".to_vec());
    assert_eq!(host.call_ref(request(), <[u8]>::to_vec).unwrap(), b"op in place");
    let cancelled = CancelHandle::new();
    cancelled.cancel();
    let error = host.call_ref(request().cancel(cancelled), |_| unreachable!("it was cancelled"));
    Failure::CANCELLED_BEFORE.check(&error.map(|(): ()| ()).unwrap_err());
    assert_eq!(host.call_ref(request(), <[u8]>::len).unwrap(), 11);
}

fn a_reader_that_panics_costs_the_instance(subject: &Subject) {
    let host = parrot(subject);
    let Host::Sync(inner) = &host else { unreachable!("the case runs in the sync mode only") };
    host.counted(1);
    let error = inner
        .call_ref(Request::new("op", b""), |_| panic_quietly("cannot read"))
        .map(|(): ()| ())
        .unwrap_err();
    Failure::HOST_PANICKED.check(&error);
    says(&error, &["cannot read"]);
    host.counted(1);
}

fn usage_counts_bytes_and_host_calls(subject: &Subject) {
    let host = subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (drop (call $ask (i32.const 0) (i32.const 3)))
                 (drop (call $ask (i32.const 0) (i32.const 3)))
                 (call $answer (i32.const 0) (i32.const 10)))"#,
        )
        .answers(|_| Ok(Bytes::from_static(b"12345"))),
    );
    let usage = host.call_with(Request::new("run", b"1234567").usage(true)).unwrap().usage.unwrap();
    assert_eq!((usage.host_calls, usage.bytes_in, usage.bytes_out), (2, 7 + 2 * 5, 2 * 3 + 10));
    assert!(usage.memory_peak == 0 || usage.memory_peak == 65_536, "{usage:?}");
    assert!(
        host.call_with(Request::new("run", b"")).unwrap().usage.is_none(),
        "measured without being asked"
    );
}
