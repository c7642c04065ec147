//! One conversation from start to end, step by step: every row of the outcome table, every limit at
//! its edge, every getter. The state machine needs no engine, so each of its rules is tested here
//! first.

use std::borrow::Cow;
use std::time::Duration;

use antiphon_protocol::{
    Begin, Conversation, HostCallBudget, HostCallRequest, Limits, Outcome, Payload, Violation,
};
use bytes::Bytes;

/// Returns a conversation within a call, with an operation and a payload of known lengths.
fn in_call(limits: Limits) -> Conversation {
    let mut conversation = Conversation::new(limits);
    conversation.begin_call("operation", Payload::from(b"payload")).unwrap();
    conversation
}

/// Memory with a text at its beginning.
fn memory(text: &[u8]) -> Vec<u8> {
    let mut memory = text.to_vec();
    memory.resize(256, 0);
    memory
}

/// Returns the arguments of a host call: `bindingnamespaceoperation` at the beginning of memory,
/// and a payload of this length after it.
fn names(payload: i32) -> [i32; 8] {
    [0, 7, 7, 9, 16, 9, 25, payload]
}

const NAMES: &[u8] = b"bindingnamespaceoperation";

/// Makes a host call that is admitted and answered, and returns the result of `__host_call`.
fn host_call(conversation: &mut Conversation, payload: i32, answer: Result<Bytes, String>) -> i32 {
    let memory = memory(NAMES);
    let begun = conversation.begin_host_call(&memory, names(payload)).unwrap();
    assert!(matches!(begun, Begin::Run(_)), "{begun:?}");
    conversation.finish_host_call(answer).unwrap()
}

/// Makes a host call that is refused, and returns the error that the guest can read.
fn refused(conversation: &mut Conversation, memory: &[u8], args: [i32; 8]) -> String {
    assert_eq!(conversation.begin_host_call(memory, args), Ok(Begin::Refused));
    assert_eq!((conversation.host_response_len(), conversation.host_response_bytes()), (0, None));
    conversation.host_error_text().unwrap().to_owned()
}

// The outcome table.

#[test]
fn the_outcome_is_that_of_the_table_for_every_pair_of_return_value_and_what_was_set() {
    let text = || Some("the text".to_owned());
    for (returned, answers, fails, outcome) in [
        (1, true, false, Outcome::Answered),
        (1, true, true, Outcome::Answered),
        (-1, true, false, Outcome::Answered),
        (1, false, true, Outcome::Failed(text())),
        (1, false, false, Outcome::Misbehaved),
        (0, false, true, Outcome::Failed(text())),
        (0, true, true, Outcome::Failed(text())),
        (0, true, false, Outcome::Failed(None)),
        (0, false, false, Outcome::Failed(None)),
    ] {
        let mut conversation = in_call(Limits::new());
        if answers {
            conversation.guest_response(&memory(b"answer"), 0, 6).unwrap();
        }
        if fails {
            conversation.guest_error(&memory(b"the text"), 0, 8).unwrap();
        }
        assert_eq!(conversation.end_call(returned), outcome, "{returned} {answers} {fails}");
        assert_eq!(conversation.request(), None, "after the end nothing is left to ask for");
    }
}

#[test]
fn what_a_stopped_guest_had_said_is_kept_and_ends_with_its_call() {
    let mut conversation = in_call(Limits::new());
    conversation.guest_error(&memory(b"about to trap"), 0, 13).unwrap();
    assert_eq!(conversation.abandon_call().as_deref(), Some("about to trap"));
    assert_eq!(conversation.request(), None);
    assert_eq!(conversation.abandon_call(), None);

    conversation.set_guest_error("of the call before".into());
    conversation.begin_call("next", Payload::from(b"")).unwrap();
    assert_eq!(conversation.end_call(0), Outcome::Failed(None));
}

// The request.

#[test]
fn the_payload_and_the_operation_are_written_where_the_guest_wants_them() {
    for payload in
        [Payload::from(b"payload"), Payload::from(b"payload".to_vec()), Payload::from(Bytes::from("payload"))]
    {
        let mut conversation = Conversation::new(Limits::new());
        conversation.begin_call("operation", payload).unwrap();
        assert_eq!(conversation.lengths(), (9, 7));
        assert_eq!(conversation.request(), Some(("operation", &b"payload"[..])));
        assert_eq!(conversation.operation(), "operation");
        let mut memory = vec![b'.'; 20];
        conversation.guest_request(&mut memory, 1, 11).unwrap();
        assert_eq!(memory, b".operation.payload..");
        conversation.release();
        assert_eq!(conversation.lengths().0, 9, "the operation is still there, for the log");
    }
}

#[test]
fn every_kind_of_payload_is_its_bytes() {
    let vec = b"bytes".to_vec();
    for payload in [
        Payload::from(&b"bytes"[..]),
        Payload::from(b"bytes"),
        Payload::from(&vec),
        Payload::from("bytes"),
        Payload::from(vec.clone()),
        Payload::from(Bytes::from("bytes")),
    ] {
        assert_eq!(payload.as_slice(), b"bytes");
    }
}

#[test]
fn outside_a_call_there_is_no_request() {
    let mut conversation = in_call(Limits::new());
    conversation.begin_init(true);
    let mut memory = vec![b'.'; 20];
    conversation.guest_request(&mut memory, -1, -1).unwrap();
    conversation.guest_request(&mut memory, 0, 10).unwrap();
    assert_eq!((memory, conversation.request()), (vec![b'.'; 20], None));
    assert_eq!((conversation.operation(), conversation.lengths()), ("", (0, 0)));
    conversation.end_init();
    assert_eq!(conversation.request(), None);
}

#[test]
fn a_request_is_taken_up_to_its_limits_and_refused_above_them() {
    let mut conversation = Conversation::new(Limits::new().name(4).request(8));
    conversation.begin_call("four", Payload::from(b"12345678")).unwrap();
    let (what, size, limit) = ("operation", 5, 4);
    let error = conversation.begin_call("fiver", Payload::from(b"")).unwrap_err();
    assert!(
        matches!(error, Violation::TooLarge { what: w, size: s, limit: l, .. } if (w, s, l) == (what, size, limit)),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "operation of 5 bytes is over its limit of 4 bytes (raise it with Limits::name)"
    );
    let error = conversation.begin_call("four", Payload::from(b"123456789")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "request of 9 bytes is over its limit of 8 bytes (raise it with Limits::request)"
    );
    assert_eq!(conversation.request(), None, "nothing has begun");
}

#[test]
fn a_refused_call_leaves_nothing_of_one_that_was_dropped_in_the_middle() {
    let limits = Limits::new().name(4).request(8);
    for (operation, payload) in [("longer", &b"1"[..]), ("op", b"123456789")] {
        let (before, given) = (Bytes::from(vec![7; 8]), Bytes::copy_from_slice(payload));
        let mut conversation = Conversation::new(limits);
        for owned in [false, true] {
            let begin = if owned { Payload::from(given.clone()) } else { Payload::from(payload) };
            conversation.begin_call("op", before.clone().into()).unwrap();
            conversation.guest_response(&memory(b"answer"), 0, 6).unwrap();
            conversation.begin_call(operation, begin).unwrap_err();
            assert_eq!((conversation.request(), conversation.response()), (None, None));
            assert_eq!(conversation.take_response(), b"");
            assert!(before.is_unique() && given.is_unique(), "neither payload is held on to");

            conversation.begin_call_in_place("op", b"in place").unwrap();
            conversation.begin_call(operation, Payload::from(payload)).unwrap_err();
            assert!(!conversation.is_in_place());
            let mut memory = memory(b"untouched");
            conversation.guest_request(&mut memory, 0, 0).unwrap();
            assert!(memory.starts_with(b"untouched"));
        }
    }
}

#[test]
fn what_a_caller_gave_away_is_let_go_and_a_borrowed_payload_keeps_its_buffer() {
    let shared = Bytes::from(vec![7; 100]);
    let mut conversation = Conversation::new(Limits::new());
    conversation.begin_call("op", Payload::from(shared.clone())).unwrap();
    assert!(!shared.is_unique());
    assert_eq!(host_call(&mut conversation, 0, Ok(shared.clone())), 1);
    conversation.release();
    assert!(shared.is_unique(), "neither the payload nor the answer of the host call outlives the call");
    assert_eq!((conversation.lengths(), conversation.host_response_len()), ((2, 0), 0));

    conversation.begin_call("op", Payload::from(b"borrowed")).unwrap();
    conversation.release();
    assert_eq!(conversation.lengths(), (2, 8));
}

#[test]
fn a_conversation_is_tidy_unless_there_is_something_to_release() {
    let mut conversation = in_call(Limits::new());
    conversation.guest_response(&memory(b"answer"), 0, 6).unwrap();
    assert!(conversation.is_tidy(), "a borrowed payload and an answer stay in their buffers");
    conversation.guest_error(&memory(b"the text"), 0, 8).unwrap();
    assert!(!conversation.is_tidy());
    conversation.release();
    assert!(conversation.is_tidy());
}

// The response.

#[test]
fn the_last_response_counts_up_to_its_limit() {
    let mut conversation = in_call(Limits::new().response(6));
    assert_eq!(conversation.response(), None);
    conversation.guest_response(&memory(b"first"), 0, 5).unwrap();
    conversation.guest_response(&memory(b"second"), 0, 6).unwrap();
    assert_eq!(conversation.response(), Some(&b"second"[..]));
    let error = conversation.guest_response(&memory(b"too long"), 0, 7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "response of 7 bytes is over its limit of 6 bytes (raise it with Limits::response)"
    );
    assert_eq!(conversation.take_response(), b"second");
    assert_eq!(conversation.take_response(), b"");

    conversation.begin_call("op", Payload::from(b"")).unwrap();
    assert_eq!(conversation.response(), None);
    conversation.guest_response(&[], 0, 0).unwrap();
    assert_eq!(conversation.response(), Some(&b""[..]), "an empty response is one");
}

#[test]
fn a_buffer_of_the_callers_is_exchanged_and_cleared_for_the_next_call() {
    let mut conversation = in_call(Limits::new());
    let mut buffer = Vec::with_capacity(1000);
    conversation.swap_response(&mut buffer);
    conversation.guest_response(&memory(b"answer"), 0, 6).unwrap();
    conversation.swap_response(&mut buffer);
    assert_eq!((buffer.as_slice(), buffer.capacity()), (&b"answer"[..], 1000));

    conversation.swap_response(&mut buffer);
    conversation.begin_call("op", Payload::from(b"")).unwrap();
    assert_eq!(conversation.take_response(), b"", "nothing of the call before");
}

#[test]
fn an_answer_as_long_as_the_callers_buffer_is_written_into_that_buffer() {
    let mut conversation = in_call(Limits::new());
    let mut buffer = Vec::with_capacity(6);
    let (start, length) = (buffer.as_ptr(), buffer.capacity());
    conversation.swap_response(&mut buffer);
    conversation.guest_response(&memory(&[b'x'; 20]), 0, i32::try_from(length).unwrap()).unwrap();
    conversation.swap_response(&mut buffer);
    assert_eq!((buffer.as_ptr(), buffer.as_slice()), (start, vec![b'x'; length].as_slice()));
}

#[test]
fn a_response_that_is_read_in_place_is_checked_and_noted_but_not_kept() {
    let mut conversation = in_call(Limits::new().response(6));
    assert_eq!(conversation.guest_response_in_place(&memory(b"answer"), 0, 6), Ok(&b"answer"[..]));
    assert!(conversation.guest_response_in_place(&memory(b"answer."), 0, 7).is_err());
    assert_eq!(conversation.end_call(1), Outcome::Answered);
    assert_eq!(conversation.take_response(), b"");
}

#[test]
fn an_engine_that_reads_memory_itself_is_held_to_the_same_limits() {
    let mut conversation = in_call(Limits::new().response(6).error_text(4));
    conversation.set_response(b"answer".to_vec()).unwrap();
    let error = conversation.set_response(b"answer!".to_vec()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "response of 7 bytes is over its limit of 6 bytes (raise it with Limits::response)"
    );
    assert_eq!(conversation.response(), Some(&b"answer"[..]));
    conversation.set_guest_error("four".into());
    assert_eq!(conversation.abandon_call().as_deref(), Some("four"));
    conversation.set_guest_error("five!".into());
    assert_eq!(conversation.end_call(0), Outcome::Failed(Some("five [truncated]".into())));
}

// Texts.

#[test]
fn an_error_text_is_cut_at_its_limit_and_the_last_one_counts() {
    let mut conversation = in_call(Limits::new().error_text(4));
    conversation.guest_error(&memory(b"first"), 0, 5).unwrap();
    conversation.guest_error(&memory(b"last"), 0, 4).unwrap();
    assert_eq!(conversation.end_call(0), Outcome::Failed(Some("last".into())));
    conversation.begin_call("op", Payload::from(b"")).unwrap();
    conversation.guest_error(&memory(b"longer"), 0, 6).unwrap();
    assert_eq!(conversation.end_call(0), Outcome::Failed(Some("long [truncated]".into())));
}

#[test]
fn an_abort_says_what_and_where_and_is_the_guests_error() {
    // AssemblyScript's strings are UTF-16, with the length in bytes before the pointer.
    let mut memory = vec![0; 64];
    for (at, text) in [(8, "no"), (24, "a.ts")] {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        memory[at - 4..at].copy_from_slice(&u32::try_from(units.len()).unwrap().to_le_bytes());
        memory[at..at + units.len()].copy_from_slice(&units);
    }
    let mut conversation = in_call(Limits::new());
    assert_eq!(conversation.abort(&memory, [8, 24, 7, -1]), "no at a.ts:7:4294967295");
    assert_eq!(conversation.abandon_call().as_deref(), Some("no at a.ts:7:4294967295"));
    assert_eq!(conversation.abort(&memory, [0, 0, 1, 2]), "no message at unknown file:1:2");
}

#[test]
fn the_log_has_a_budget_for_each_call_that_every_line_is_charged_to() {
    let mut conversation = in_call(Limits::new().log_line(20).log(52));
    let line = |conversation: &mut Conversation, length: i32| {
        conversation.console_log(&memory(&[b'x'; 30]), 0, length).unwrap().map(Cow::into_owned)
    };
    // 20 for a line that is cut, and at least 16 for each of the others: 52 together, and not a
    // byte more.
    assert_eq!(line(&mut conversation, 21), Some(format!("{} [truncated]", "x".repeat(20))));
    assert_eq!(line(&mut conversation, 0).as_deref(), Some(""));
    assert_eq!(conversation.log_line(b"a\tb\n"), Some(Cow::Borrowed("a\tb\\n")));
    assert_eq!(conversation.log_dropped(), 0);
    assert_eq!(line(&mut conversation, 0), None);
    assert_eq!(conversation.log_line(b""), None);
    assert_eq!(conversation.log_dropped(), 2);

    conversation.begin_call("op", Payload::from(b"")).unwrap();
    assert_eq!(conversation.log_dropped(), 0);
    assert_eq!(line(&mut conversation, 20), Some("x".repeat(20)), "the budget is one call's");
    assert_eq!(line(&mut conversation, 17).unwrap().len(), 17);
    assert_eq!(line(&mut conversation, 17), None, "charged by its length where that is more than 16");
}

// Host calls.

#[test]
fn a_host_call_runs_with_its_four_parts_and_leaves_an_answer_or_an_error() {
    let mut conversation = in_call(Limits::new());
    assert_eq!((conversation.host_response_len(), conversation.host_error_len()), (0, 0));
    let memory_of_names = memory(NAMES);
    let begun = conversation.begin_host_call(&memory_of_names, names(3));
    let request = HostCallRequest {
        binding: "binding",
        namespace: "namespace",
        operation: "operation",
        payload: &[0; 3],
    };
    assert_eq!(begun, Ok(Begin::Run(request)));
    assert_eq!(conversation.finish_host_call(Ok(Bytes::from("answer"))), Ok(1));
    assert_eq!(conversation.host_response_bytes(), Some(&b"answer"[..]));
    assert_eq!((conversation.host_response_len(), conversation.host_error_len()), (6, 0));
    assert_eq!(conversation.host_error_text(), None);
    let mut target = vec![b'.'; 10];
    conversation.host_response(&mut target, 2).unwrap();
    conversation.host_error(&mut target, -1).unwrap();
    assert_eq!(target, b"..answer..");

    assert_eq!(host_call(&mut conversation, 0, Err("no answer".into())), 0);
    assert_eq!((conversation.host_response_len(), conversation.host_error_len()), (0, 9));
    assert_eq!(conversation.host_error_text(), Some("no answer"));
    assert_eq!(conversation.host_response_bytes(), None);
    let mut target = vec![b'.'; 10];
    conversation.host_error(&mut target, 1).unwrap();
    conversation.host_response(&mut target, -1).unwrap();
    assert_eq!(target, b".no answer");
    let fault = conversation.host_error(&mut target, 2).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "__host_error: pointer 0x2 with length 9 is outside the guest's memory of 10 bytes"
    );
    assert_eq!(conversation.host_calls(), 2);
}

#[test]
fn what_a_host_call_left_is_forgotten_at_the_next_one_and_at_the_next_call() {
    let mut conversation = in_call(Limits::new());
    host_call(&mut conversation, 0, Ok(Bytes::from("first")));
    let memory = memory(NAMES);
    assert!(matches!(conversation.begin_host_call(&memory, names(0)), Ok(Begin::Run(_))));
    assert_eq!(conversation.host_response_bytes(), None, "while the next one runs there is nothing");
    conversation.finish_host_call(Ok(Bytes::from("second"))).unwrap();
    conversation.begin_call("op", Payload::from(b"")).unwrap();
    assert_eq!((conversation.host_response_bytes(), conversation.host_calls()), (None, 0));
    host_call(&mut conversation, 0, Err("an error".into()));
    conversation.begin_init(true);
    assert_eq!((conversation.host_error_text(), conversation.host_calls()), (None, 0));
}

#[test]
fn a_name_that_is_too_long_or_not_utf8_is_refused_with_its_reason() {
    let mut conversation = in_call(Limits::new().name(9));
    for (which, what) in [(0, "binding"), (1, "namespace"), (2, "operation")] {
        let mut args = names(0);
        args[which * 2 + 1] = 10;
        let reason = format!(
            "{what} of the host call has 10 bytes, over the limit of 9 bytes (raise it with Limits::name)"
        );
        assert_eq!(refused(&mut conversation, &memory(NAMES), args), reason);

        let mut broken = memory(NAMES);
        broken[usize::try_from(names(0)[which * 2]).unwrap()] = 0xff;
        let reason = format!("{what} of the host call is not UTF-8");
        assert_eq!(refused(&mut conversation, &broken, names(0)), reason);
    }
    // An engine that has read the names itself has the same limit.
    let nine = HostCallRequest { binding: "123456789", namespace: "", operation: "", payload: b"" };
    assert_eq!(conversation.admit_host_call(nine), Ok(Begin::Run(nine)));
    for (what, long) in [
        ("binding", HostCallRequest { binding: "1234567890", ..nine }),
        ("namespace", HostCallRequest { namespace: "1234567890", ..nine }),
        ("operation", HostCallRequest { operation: "1234567890", ..nine }),
    ] {
        assert_eq!(conversation.admit_host_call(long), Ok(Begin::Refused));
        let reason = format!(
            "{what} of the host call has 10 bytes, over the limit of 9 bytes (raise it with Limits::name)"
        );
        assert_eq!(conversation.host_error_text(), Some(reason.as_str()));
    }
    assert_eq!(conversation.host_calls(), 10, "refused ones count");
}

#[test]
fn a_payload_and_an_answer_are_taken_up_to_their_limit() {
    let mut conversation = in_call(Limits::new().host_payload(5));
    assert_eq!(host_call(&mut conversation, 5, Ok(Bytes::from("12345"))), 1);
    assert_eq!(
        refused(&mut conversation, &memory(NAMES), names(6)),
        "payload of the host call has 6 bytes, over the limit of 5 bytes (raise it with Limits::host_payload)"
    );
    assert_eq!(host_call(&mut conversation, 5, Ok(Bytes::from("123456"))), 0);
    assert_eq!(
        conversation.host_error_text(),
        Some(
            "answer of the host call has 6 bytes, over the limit of 5 bytes (raise it with Limits::host_payload)"
        )
    );
}

#[test]
fn an_error_of_the_host_is_cut_at_its_limit() {
    let mut conversation = in_call(Limits::new().error_text(4));
    assert_eq!(host_call(&mut conversation, 0, Err("four".into())), 0);
    assert_eq!(conversation.host_error_text(), Some("four"));
    assert_eq!(host_call(&mut conversation, 0, Err("fiver".into())), 0);
    assert_eq!(conversation.host_error_text(), Some("five [truncated]"));
}

#[test]
fn host_calls_of_a_start_and_outside_a_call_are_refused_unless_allowed() {
    let mut conversation = Conversation::new(Limits::new());
    let memory = memory(NAMES);
    let outside = "host calls are not allowed outside a call";
    assert_eq!(refused(&mut conversation, &memory, names(0)), outside);
    conversation.begin_init(false);
    let reason = "host calls are not allowed during initialisation";
    assert_eq!(refused(&mut conversation, &memory, names(0)), reason);
    conversation.begin_init(true);
    assert!(matches!(conversation.begin_host_call(&memory, names(0)), Ok(Begin::Run(_))));
    conversation.end_init();
    assert_eq!(refused(&mut conversation, &memory, names(0)), outside);
    conversation.begin_call("op", Payload::from(b"")).unwrap();
    assert!(matches!(conversation.begin_host_call(&memory, names(0)), Ok(Begin::Run(_))));
    conversation.end_call(1);
    assert_eq!(refused(&mut conversation, &memory, names(0)), outside);
}

#[test]
fn the_number_and_the_bytes_of_host_calls_have_budgets_and_the_violation_names_the_one_that_ran_out() {
    let mut conversation = in_call(Limits::new().host_calls(2));
    host_call(&mut conversation, 0, Ok(Bytes::new()));
    host_call(&mut conversation, 0, Ok(Bytes::new()));
    let third = conversation.begin_host_call(&memory(NAMES), names(0)).unwrap_err();
    assert!(
        matches!(third, Violation::HostCallLimit { budget: HostCallBudget::Calls, limit: 2, .. }),
        "{third:?}"
    );
    assert_eq!(third.to_string(), "more than 2 host calls in one call (raise it with Limits::host_calls)");

    // 4 + 3 + 2 bytes, arguments and answers together, and not one more on either side.
    let limits = Limits::new().host_call_bytes(9);
    let mut conversation = in_call(limits);
    assert_eq!(host_call(&mut conversation, 4, Ok(Bytes::from("123"))), 1);
    assert_eq!(host_call(&mut conversation, 2, Ok(Bytes::new())), 1);
    let payload = conversation.begin_host_call(&memory(NAMES), names(1)).unwrap_err();
    assert!(
        matches!(payload, Violation::HostCallLimit { budget: HostCallBudget::Bytes, limit: 9, .. }),
        "{payload:?}"
    );
    assert_eq!(
        payload.to_string(),
        "host calls carried more than 9 bytes in one call: 10 (raise it with Limits::host_call_bytes)"
    );

    let mut conversation = in_call(limits);
    let memory_of_names = memory(NAMES);
    assert!(matches!(conversation.begin_host_call(&memory_of_names, names(8)), Ok(Begin::Run(_))));
    let answer = conversation.finish_host_call(Ok(Bytes::from("12"))).unwrap_err();
    assert!(matches!(answer, Violation::HostCallLimit { budget: HostCallBudget::Bytes, .. }), "{answer:?}");
    // Both budgets are for one call.
    conversation.begin_call("op", Payload::from(b"")).unwrap();
    assert_eq!(host_call(&mut conversation, 8, Ok(Bytes::from("1"))), 1);
    assert_eq!((conversation.host_calls(), conversation.limits()), (1, &limits));
}

#[test]
fn every_wild_pointer_of_a_host_call_is_a_fault_and_is_charged_to_nobody() {
    let mut conversation = in_call(Limits::new().host_calls(0));
    for which in 0..4 {
        let mut args = names(0);
        (args[which * 2], args[which * 2 + 1]) = (255, 2);
        let fault = conversation.begin_host_call(&memory(NAMES), args).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "__host_call: pointer 0xff with length 2 is outside the guest's memory of 256 bytes"
        );
    }
    assert_eq!(conversation.host_calls(), 0);
}

// A payload that stays with the host.

#[test]
fn a_payload_that_stays_with_the_host_is_copied_by_each_request_and_kept_when_asked() {
    let mut conversation = Conversation::new(Limits::new());
    conversation.begin_call_in_place("op", b"payload").unwrap();
    assert!(conversation.is_in_place());
    assert_eq!(conversation.lengths(), (2, 7));
    let mut memory = [0; 32];
    for _ in 0..2 {
        conversation.guest_request_from(&mut memory, 0, 8, b"payload").unwrap();
        assert_eq!((&memory[..2], &memory[8..15]), (&b"op"[..], &b"payload"[..]));
        memory.fill(0);
    }
    conversation.guest_request_from(&mut memory, 0, 30, b"payload").unwrap_err();

    conversation.keep_payload(b"payload");
    assert!(!conversation.is_in_place());
    assert_eq!(conversation.request(), Some(("op", &b"payload"[..])));
    conversation.guest_request(&mut memory, 0, 8).unwrap();
    assert_eq!((&memory[..2], &memory[8..15]), (&b"op"[..], &b"payload"[..]));

    conversation.begin_call("op", Payload::from(&b"next"[..])).unwrap();
    assert!(!conversation.is_in_place());
    assert_eq!(conversation.lengths(), (2, 4));
    let refused = Conversation::new(Limits::new().request(3)).begin_call_in_place("op", b"four");
    assert!(
        matches!(refused, Err(Violation::TooLarge { what: "request", size: 4, limit: 3, .. })),
        "{refused:?}"
    );
    conversation.begin_init(false);
    assert_eq!(conversation.lengths(), (0, 0));
}

// Limits.

#[test]
fn the_defaults_are_those_of_the_documents() {
    let limits = Limits::new();
    assert_eq!(
        [limits.memory_or_default(), limits.module_or_default(), limits.host_call_bytes_or_default()],
        [64 << 20, 16 << 20, 256 << 20],
        "memory, module, bytes of host calls"
    );
    assert_eq!(
        [limits.request_or_default(), limits.response_or_default(), limits.host_payload_or_default()],
        [4 << 20; 3]
    );
    assert_eq!(
        [
            limits.name_or_default(),
            limits.log_line_or_default(),
            limits.error_text_or_default(),
            limits.log_or_default()
        ],
        [1 << 10, 4 << 10, 64 << 10, 64 << 10]
    );
    assert_eq!([limits.host_calls_or_default(), limits.table_elements_or_default()], [1_000, 20_000]);
    assert_eq!(
        [limits.deadline_or_default(), limits.init_deadline_or_default()],
        [Duration::from_secs(2); 2]
    );
}

#[test]
fn a_deadline_that_was_set_is_told_apart_from_the_default() {
    let limits = Limits::new();
    assert_eq!((limits.deadline, limits.init_deadline), (None, None));
    let (call, start) = (Duration::from_secs(3), Duration::from_secs(4));
    let limits = limits.deadline(call).init_deadline(start);
    assert_eq!((limits.deadline, limits.init_deadline), (Some(call), Some(start)));
}
