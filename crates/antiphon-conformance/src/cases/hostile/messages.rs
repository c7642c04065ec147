//! Messages in every order that the protocol does not mean.

use std::time::Duration;

use crate::case::{Case, case};
use crate::expect::Failure;
use crate::guest::Guest;
use crate::subject::Subject;

pub(super) const CASES: &[Case] = &[
    case!(hostile_messages::a_response_and_then_a_trap_is_a_trap).within(Duration::from_secs(5), 64 << 20),
    case!(hostile_messages::a_response_an_error_and_a_trap_carry_only_the_error).hostile(),
];

fn a_response_and_then_a_trap_is_a_trap(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_response (i32.const 0) (i32.const 6))
             unreachable)
           (data (i32.const 0) "answer")"#,
    ));
    let error = host.fails("run", b"", Failure::TRAPPED);
    assert_eq!(error.guest_error(), None);
}

fn a_response_an_error_and_a_trap_carry_only_the_error(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_response (i32.const 0) (i32.const 6))
             (call $guest_error (i32.const 8) (i32.const 5))
             (call $guest_response (i32.const 0) (i32.const 6))
             unreachable)
           (data (i32.const 0) "answer") (data (i32.const 8) "sorry")"#,
    ));
    let error = host.fails("run", b"", Failure::TRAPPED);
    assert_eq!(error.guest_error(), Some("sorry"));
    assert!(!format!("{error:?} {error}").contains("answer"), "the response is nobody's: {error:?}");
}
