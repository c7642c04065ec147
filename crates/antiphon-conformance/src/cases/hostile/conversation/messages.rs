//! Messages in orders that the protocol does not intend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use antiphon::{Bytes, Limits, Request};

use crate::suite::{Case, Guest, Host, Log, Mode, Need, Subject, case};
use crate::support::{Failure, panic_quietly};

pub(super) const CASES: &[Case] = &[
    case!(hostile_messages::a_response_and_then_a_trap_is_a_trap).hostile(),
    case!(hostile_messages::a_response_an_error_and_a_trap_carry_only_the_error).hostile(),
    case!(hostile_messages::an_error_before_a_wild_pointer_is_carried).hostile(),
    case!(hostile_messages::an_error_before_a_response_over_its_limit_is_carried).hostile(),
    case!(hostile_messages::an_error_before_one_host_call_too_many_is_carried).hostile(),
    case!(hostile_messages::an_error_before_a_panic_of_the_handler_is_carried).hostile(),
    case!(hostile_messages::an_error_before_a_stack_overflow_is_carried).needs(&[Need::StackLimit]).hostile(),
    case!(hostile_messages::a_response_of_length_zero_takes_an_earlier_one_back).hostile(),
    case!(hostile_messages::an_error_of_length_zero_takes_an_earlier_one_back).hostile(),
    case!(hostile_messages::a_response_is_what_memory_held_when_it_was_given).keeps_state().hostile(),
    case!(hostile_messages::an_error_is_what_memory_held_when_it_was_given).keeps_state().hostile(),
    case!(hostile_messages::the_request_is_there_until_the_end).hostile(),
    case!(hostile_messages::a_request_written_over_the_response_changes_only_memory).keeps_state().hostile(),
    case!(hostile_messages::a_response_before_a_return_of_zero_reaches_no_buffer).hostile(),
    case!(hostile_messages::a_response_before_a_trap_reaches_no_buffer).hostile(),
    case!(hostile_messages::an_answer_read_in_place_before_a_trap_is_no_answer).only(&[Mode::Sync]).hostile(),
    case!(hostile_messages::the_hosts_answer_outlives_all_other_messages).hostile(),
    case!(hostile_messages::the_hosts_error_outlives_all_other_messages).hostile(),
    case!(hostile_messages::a_refused_host_call_takes_the_answer_before_it_away).hostile(),
    case!(hostile_messages::a_trapped_calls_answer_is_not_there_in_the_next).hostile(),
    case!(hostile_messages::a_trapped_calls_host_error_is_not_there_in_the_next).hostile(),
    case!(hostile_messages::a_guest_that_calls_its_own_entry_point_has_one_conversation).hostile(),
    case!(hostile_messages::a_host_call_after_the_response_may_still_spoil_it).hostile(),
    case!(hostile_messages::a_guest_that_answers_by_trapping_every_other_call_is_bounded)
        .within(Duration::from_secs(5), 32 << 20),
];

/// Returns a guest with this body of `$run`, and "answer" at 0, "sorry" at 8 and "other" at 16.
fn guest(body: &str) -> Guest {
    Guest::new(&format!(
        r#"(func $run (param $op i32) (param $msg i32) (result i32) {body})
           (func $say (call $guest_response (i32.const 0) (i32.const 6)))
           (func $regret (call $guest_error (i32.const 8) (i32.const 5)))
           (data (i32.const 0) "answer") (data (i32.const 8) "sorry") (data (i32.const 16) "other")"#
    ))
}

fn a_response_and_then_a_trap_is_a_trap(subject: &Subject) {
    let host = subject.host(guest("(call $say) unreachable"));
    let error = host.fails("run", b"", Failure::TRAPPED);
    assert_eq!(error.guest_error(), None);
}

fn a_response_an_error_and_a_trap_carry_only_the_error(subject: &Subject) {
    let host = subject.host(guest("(call $say) (call $regret) (call $say) unreachable"));
    let error = host.fails("run", b"", Failure::TRAPPED);
    assert_eq!(error.guest_error(), Some("sorry"));
    assert!(!format!("{error:?} {error}").contains("answer"), "the error shows the response: {error:?}");
}

/// Expects a guest that sets an error and then ends in another way to carry that error.
#[track_caller]
fn carries_its_error(subject: &Subject, guest: Guest, expected: Failure) {
    let host = subject.host(guest);
    let error = host.fails("run", b"", expected);
    assert_eq!(error.guest_error(), Some("sorry"), "{error:#?}");
    // The next call has no error of its own, so it carries none.
    let error = host.fails("run", b"quiet", expected);
    assert_eq!(error.guest_error(), None, "{error:#?}");
}

/// Sets the error if the payload is empty.
const REGRET: &str = "(if (i32.eqz (local.get $msg)) (then (call $regret)))";

fn an_error_before_a_wild_pointer_is_carried(subject: &Subject) {
    let body = format!("{REGRET} (call $guest_response (i32.const -1) (i32.const 1)) (i32.const 1)");
    carries_its_error(subject, guest(&body), Failure::TRAPPED);
}

fn an_error_before_a_response_over_its_limit_is_carried(subject: &Subject) {
    let body = format!("{REGRET} (call $say) (call $answer (i32.const 0) (i32.const 11))");
    let guest = guest(&body).limits(Limits::new().response(10));
    carries_its_error(subject, guest, Failure::RESPONSE_TOO_LARGE);
}

fn an_error_before_one_host_call_too_many_is_carried(subject: &Subject) {
    let body = format!("{REGRET} (loop (drop (call $ask (i32.const 0) (i32.const 0))) (br 0)) unreachable");
    let guest = guest(&body).limits(Limits::new().host_calls(3)).answers(|_| Ok(Bytes::new()));
    carries_its_error(subject, guest, Failure::HOST_CALL_LIMIT);
}

fn an_error_before_a_panic_of_the_handler_is_carried(subject: &Subject) {
    let body = format!("{REGRET} (call $ask (i32.const 0) (i32.const 0))");
    let guest = guest(&body).answers(|_| panic_quietly("torn"));
    carries_its_error(subject, guest, Failure::HOST_PANICKED);
}

fn an_error_before_a_stack_overflow_is_carried(subject: &Subject) {
    let body = format!("{REGRET} (i32.add (call $run (i32.const 0) (i32.const 1)) (i32.const 1))");
    carries_its_error(subject, guest(&body), Failure::STACK_OVERFLOW);
}

fn a_response_of_length_zero_takes_an_earlier_one_back(subject: &Subject) {
    let host = subject.host(guest("(call $say) (call $answer (i32.const -1) (i32.const 0))"));
    let mut buffer = b"stale".to_vec();
    assert_eq!(host.call_into("run", b"", &mut buffer).unwrap(), 0);
    assert_eq!((host.answer("run", b""), buffer), (Vec::new(), Vec::new()));
    host.counted(3);
}

fn an_error_of_length_zero_takes_an_earlier_one_back(subject: &Subject) {
    let host = subject.host(guest("(call $regret) (call $fail (i32.const -1) (i32.const 0))"));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!((error.guest_error(), error.to_string().as_str()), (Some(""), "Guest call failure: "));
}

fn a_response_is_what_memory_held_when_it_was_given(subject: &Subject) {
    let host = subject
        .host(guest("(call $say) (memory.fill (i32.const 0) (i32.const 120) (i32.const 6)) (i32.const 1)"));
    assert_eq!(host.answer("run", b""), b"answer");
    // The guest's own memory is as the guest left it.
    assert_eq!(host.answer("run", b""), b"xxxxxx");
}

fn an_error_is_what_memory_held_when_it_was_given(subject: &Subject) {
    let host = subject.host(guest(
        "(call $regret) (memory.fill (i32.const 8) (i32.const 120) (i32.const 5)) (i32.const 0)",
    ));
    assert_eq!(host.fails("run", b"", Failure::GUEST_FAILED).guest_error(), Some("sorry"));
    assert_eq!(host.fails("run", b"", Failure::GUEST_FAILED).guest_error(), Some("xxxxx"));
}

fn the_request_is_there_until_the_end(subject: &Subject) {
    // Read only after everything else: a response, an error, a host call that succeeds and one that
    // fails.
    let guest = guest(
        "(call $say) (call $regret)
         (drop (call $ask (i32.const 0) (i32.const 1)))
         (drop (call $ask (i32.const 0) (i32.const 0)))
         (call $guest_request (i32.const 512) (i32.const 1024))
         (call $answer (i32.const 1024) (local.get $msg))",
    );
    let host = subject.host(guest.answers(|call| match call.payload {
        b"" => Err("nothing".into()),
        _ => Ok(Bytes::from_static(b"something")),
    }));
    assert_eq!(host.answer("run", b"asked for last"), b"asked for last");
    host.counted(2);
}

fn a_request_written_over_the_response_changes_only_memory(subject: &Subject) {
    let host = subject.host(guest(
        "(call $say) (call $guest_request (i32.const 0) (i32.const 3)) (i32.eqz (local.get $msg))",
    ));
    assert_eq!(host.answer("run", b""), b"answer");
    host.fails("run", b"!!!", Failure::GUEST_FAILED);
    assert_eq!(host.answer("run", b""), b"run!!!", "what the request had left in memory is the guest's");
}

#[track_caller]
fn reaches_no_buffer(subject: &Subject, body: &str, expected: Failure) {
    let host = subject.host(guest(body));
    let mut buffer = b"of the caller".to_vec();
    expected.check(&host.call_into("run", b"", &mut buffer).unwrap_err());
    assert_eq!(buffer, b"", "an answer of a call that failed");
    // The next call sets no answer, and gets none of this one's.
    assert_eq!(host.call_into("#", b"", &mut buffer).unwrap(), 4);
    assert_eq!(buffer.len(), 4);
}

fn a_response_before_a_return_of_zero_reaches_no_buffer(subject: &Subject) {
    reaches_no_buffer(subject, "(call $say) (i32.const 0)", Failure::GUEST_FAILED);
}

fn a_response_before_a_trap_reaches_no_buffer(subject: &Subject) {
    reaches_no_buffer(subject, "(call $say) unreachable", Failure::TRAPPED);
}

fn an_answer_read_in_place_before_a_trap_is_no_answer(subject: &Subject) {
    let host = subject.host(guest("(call $say) (call $say) unreachable"));
    let Host::Sync(inner) = &host else { unreachable!("the case runs in the sync mode only") };
    host.counted(1);
    let mut seen = 0;
    let result = inner.call_ref(Request::new("run", b""), |answer| {
        assert_eq!(answer, b"answer");
        seen += 1;
    });
    Failure::TRAPPED.check(&result.unwrap_err());
    assert_eq!(seen, 2, "the reader is called at each response, and the call fails all the same");
    host.counted(1);
}

/// Starts a guest that makes a host call with the payload, sends every other message, and then
/// relays the host's answer.
fn talkative(subject: &Subject) -> Host {
    let guest = guest(
        "(local $ok i32)
         (call $guest_request (i32.const 512) (i32.const 600))
         (local.set $ok (call $ask (i32.const 600) (local.get $msg)))
         (call $say) (call $regret)
         (call $console_log (i32.const 0) (i32.const 6))
         (call $guest_request (i32.const 512) (i32.const 600))
         (call $host_error (i32.const 2048))
         (call $host_response (i32.const 2048))
         (call $relay (local.get $ok))",
    );
    subject.host(guest.log(&Log::default()).answers(|call| match call.payload {
        b"no" => Err("as I said, no".into()),
        _ => Ok(Bytes::from_static(b"as I said, yes")),
    }))
}

fn the_hosts_answer_outlives_all_other_messages(subject: &Subject) {
    assert_eq!(talkative(subject).answer("run", b"yes"), b"as I said, yes");
}

fn the_hosts_error_outlives_all_other_messages(subject: &Subject) {
    let error = talkative(subject).fails("run", b"no", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), Some("as I said, no"));
}

fn a_refused_host_call_takes_the_answer_before_it_away(subject: &Subject) {
    // The second call never reaches a handler: its payload is a byte too long, or its name is not
    // UTF-8.
    for refused in [
        "(call $ask (i32.const 0) (i32.const 11))",
        "(call $host_call (i32.const 512) (i32.const 1) (i32.const 0) (i32.const 1)
           (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))",
    ] {
        let guest = guest(&format!(
            "(i32.store8 (i32.const 512) (i32.const 0xff))
             (if (i32.eqz (call $ask (i32.const 0) (i32.const 6))) (then unreachable))
             (if (i32.ne (call $host_response_len) (i32.const 6)) (then unreachable))
             (if {refused} (then unreachable))
             (memory.fill (i32.const 1024) (i32.const 46) (i32.const 6))
             (call $host_response (i32.const 1024))
             (i32.store8 (i32.const 1030) (call $host_response_len))
             (call $answer (i32.const 1024) (i32.const 7))"
        ));
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let host = subject.host(guest.limits(Limits::new().host_payload(10)).answers(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(b"secret"))
        }));
        assert_eq!(host.answer("run", b""), b"......\0");
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}

/// Expects that a call after a trap sees nothing of the host call before it. With a payload the
/// guest looks at both lengths, and at what both imports write.
fn left_over(subject: &Subject, said: fn() -> crate::support::Said) {
    let guest = guest(
        "(if (i32.eqz (local.get $msg)) (then
           (drop (call $ask (i32.const 0) (i32.const 0)))
           unreachable))
         (memory.fill (i32.const 1024) (i32.const 46) (i32.const 16))
         (call $host_response (i32.const 1024))
         (call $host_error (i32.const 1024))
         (i32.store8 (i32.const 1024) (call $host_response_len))
         (i32.store8 (i32.const 1025) (call $host_error_len))
         (call $answer (i32.const 1024) (i32.const 16))",
    );
    let host = subject.host(guest.answers(move |_| said()));
    host.fails("run", b"", Failure::TRAPPED);
    Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    assert_eq!(host.answer("run", b"look"), b"\0\0..............");
}

fn a_trapped_calls_answer_is_not_there_in_the_next(subject: &Subject) {
    left_over(subject, || Ok(Bytes::from_static(b"of another call")));
}

fn a_trapped_calls_host_error_is_not_there_in_the_next(subject: &Subject) {
    left_over(subject, || Err("of another call".into()));
}

fn a_guest_that_calls_its_own_entry_point_has_one_conversation(subject: &Subject) {
    // The inner call fails with an error and a response. Both belong to the outer call, and the
    // last ones count.
    let host = subject.host(Guest::module(
        r#"(module
             (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
             (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
             (import "wapc" "__guest_error" (func $guest_error (param i32 i32)))
             (memory (export "memory") 1)
             (func $call (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
               (if (i32.lt_s (local.get $op) (i32.const 0)) (then
                 (call $guest_request (i32.const 512) (i32.const 1024))
                 (call $guest_error (i32.const 1024) (i32.const 4))
                 (call $guest_response (i32.const 1024) (i32.const 4))
                 (return (i32.const 0))))
               (i32.eqz (call $call (i32.const -1) (i32.const -1)))))"#,
    ));
    assert_eq!(host.answer("run", b"over"), b"over");
    assert_eq!(host.answer("run", b"once more"), b"once");
}

fn a_host_call_after_the_response_may_still_spoil_it(subject: &Subject) {
    let body = "(call $say) (drop (call $ask (i32.const 0) (i32.const 0))) (i32.const 1)";
    let host = subject.host(guest(body).answers(|_| panic_quietly("after the fact")));
    host.fails("run", b"", Failure::HOST_PANICKED);
    let host = subject.host(guest(body).limits(Limits::new().host_calls(0)));
    host.fails("run", b"", Failure::HOST_CALL_LIMIT);
}

fn a_guest_that_answers_by_trapping_every_other_call_is_bounded(subject: &Subject) {
    let host = subject.host(guest("(call $say) (if (local.get $msg) (then unreachable)) (i32.const 1)"));
    for _ in 0..60 {
        assert_eq!(host.answer("run", b""), b"answer");
        Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
    }
    host.counted(1);
}
