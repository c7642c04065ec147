//! Replacing the module of a running host.

use std::thread;
use std::time::Duration;

use antiphon::Limits;
use antiphon::errors::ErrorKind;

use crate::cases::{ECHO, RELAY, echo};
use crate::suite::{Case, Guest, Host, Log, Need, Subject, case};
use crate::support::{Answer, Failure, cause, says, soon, timed};

pub(super) const CASES: &[Case] = &[
    case!(replace::the_new_module_serves).keeps_state(),
    case!(replace::a_replaced_module_keeps_handler_log_and_limits).needs(&[Need::MemoryLimit]),
    case!(replace::after_a_failure_the_new_module_is_rebuilt).keeps_state(),
    case!(replace::bytes_that_are_no_module_leave_the_old_one_serving),
    case!(replace::a_module_that_is_no_guest_leaves_the_old_one_serving),
    case!(replace::a_module_that_does_not_start_leaves_the_old_one_serving),
    case!(replace::a_module_that_starts_without_end_leaves_the_old_one_serving).needs(&[Need::Deadline]),
    case!(replace::a_module_over_a_limit_leaves_the_old_one_serving).needs(&[Need::MemoryLimit]),
    case!(replace::a_running_call_is_not_disturbed).keeps_state(),
    case!(replace::calls_are_served_while_modules_come_and_go),
];

/// Returns a guest that answers with a number, and whose other operation traps.
fn numbered(number: i32) -> Vec<u8> {
    let body = format!(
        "(func $run (param $op i32) (param $msg i32) (result i32)
           (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable))
           (call $answer_i32 (i32.const {number})))"
    );
    Guest::new(&body).module.bytes
}

fn the_new_module_serves(subject: &Subject) {
    let host = subject.host(Guest::binary(numbered(1)));
    let id = host.id();
    assert_eq!((host.number("run", b""), host.count()), (1, 2));
    host.replace(&numbered(2)).unwrap();
    assert_eq!((host.number("run", b""), host.count()), (2, 2), "the new module is a fresh instance");
    host.replace(&numbered(3)).unwrap();
    host.replace(&numbered(4)).unwrap();
    assert_eq!((host.number("run", b""), host.id()), (4, id));
}

fn a_replaced_module_keeps_handler_log_and_limits(subject: &Subject) {
    let log = Log::default();
    let limits = Limits::new().memory(4 * 65_536);
    let host = subject.host(Guest::binary(numbered(1)).limits(limits).log(&log).answers(echo));
    let new = Guest::new(
        r#"(func (export "wapc_init") (call $console_log (i32.const 0) (i32.const 3)))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (i32.eq (local.get $op) (i32.const 4))
               (then (return (call $answer_i32 (memory.grow (i32.const 4))))))
             (call $guest_request (i32.const 256) (i32.const 1024))
             (call $relay (call $ask (i32.const 1024) (local.get $msg))))
           (data (i32.const 0) "new")"#,
    );
    host.replace(&new.module.bytes).unwrap();
    let lines = log.take();
    assert_eq!((lines.len(), lines[0].host_id, lines[0].text.as_str()), (1, host.id(), "new"));
    assert_eq!(host.answer("relay", b"handled"), b"handled");
    assert_eq!(host.number("grow", b""), -1);
}

fn after_a_failure_the_new_module_is_rebuilt(subject: &Subject) {
    let host = subject.host(Guest::binary(numbered(1)));
    host.replace(&numbered(2)).unwrap();
    host.fails("trap", b"", Failure::TRAPPED);
    assert_eq!(host.number("run", b""), 2);
    // A replacement also works while there is no instance.
    Failure::TRAPPED.check(&host.call("trap", b"").unwrap_err());
    host.replace(&numbered(3)).unwrap();
    assert_eq!((host.number("run", b""), host.count()), (3, 2));
}

/// Expects that a replacement is refused with `reason`, and that the old module serves on with its
/// memory.
#[track_caller]
fn refused(host: &Host, module: &[u8], reason: ErrorKind) -> antiphon::errors::Error {
    let before = host.count();
    let error = host.replace(module).unwrap_err();
    Failure::REPLACE_FAILED.check(&error);
    assert_eq!(cause(&error).kind(), reason, "{error:#?}");
    assert_eq!(host.number("run", b""), 1);
    host.counted(before + 2);
    error
}

fn bytes_that_are_no_module_leave_the_old_one_serving(subject: &Subject) {
    let host = subject.host(Guest::binary(numbered(1)));
    let whole = numbered(2);
    for bytes in [b"", &b"garbage"[..], &whole[..whole.len() / 2]] {
        refused(&host, bytes, ErrorKind::InvalidModule);
    }
    host.fails("trap", b"", Failure::TRAPPED);
    refused(&host, b"garbage", ErrorKind::InvalidModule);
}

fn a_module_that_is_no_guest_leaves_the_old_one_serving(subject: &Subject) {
    let host = subject.host(Guest::binary(numbered(1)));
    let module = Guest::module("(module (func (import \"env\" \"nothing\")))").module.bytes;
    says(cause(&refused(&host, &module, ErrorKind::InvalidModule)), &["nothing", "__guest_call", "memory"]);
}

fn a_module_that_does_not_start_leaves_the_old_one_serving(subject: &Subject) {
    let host = subject.host(Guest::binary(numbered(1)));
    for start in [
        r#"(func (export "wapc_init") unreachable)"#,
        r#"(func (export "_initialize") (call $guest_response (i32.const -1) (i32.const 1)))"#,
        "(start $section) (func $section unreachable)",
    ] {
        let body = format!("{start} (func $run (param i32 i32) (result i32) (i32.const 1))");
        refused(&host, &Guest::new(&body).module.bytes, ErrorKind::InitFailed);
    }
}

fn a_module_that_starts_without_end_leaves_the_old_one_serving(subject: &Subject) {
    let deadline = Duration::from_millis(150);
    let guest = Guest::binary(numbered(1)).limits(Limits::new().init_deadline(deadline));
    let host = subject.host(guest);
    for start in [r#"(func (export "_start") (call $spin))"#, "(start $spin)"] {
        let body = format!("{start} (func $run (param i32 i32) (result i32) (i32.const 1))");
        let module = Guest::new(&body).module.bytes;
        let (error, elapsed) = timed(|| refused(&host, &module, ErrorKind::InitFailed));
        assert!(cause(&error).is_deadline());
        soon(elapsed, deadline);
    }
}

fn a_module_over_a_limit_leaves_the_old_one_serving(subject: &Subject) {
    let limits = Limits::new().memory(4 * 65_536);
    let host = subject.host(Guest::binary(numbered(1)).limits(limits));
    let module = Guest::with_memory(r#"(memory (export "memory") 5)"#, ECHO).module.bytes;
    refused(&host, &module, ErrorKind::InvalidModule);
}

fn a_running_call_is_not_disturbed(subject: &Subject) {
    let host =
        subject.host(Guest::new(RELAY).handler(|call| Answer::After(Duration::from_millis(300), echo(call))));
    thread::scope(|scope| {
        let running = scope.spawn(|| host.answer("run", b"of the old module"));
        thread::sleep(Duration::from_millis(50));
        host.replace(&numbered(2)).unwrap();
        assert_eq!(running.join().unwrap(), b"of the old module");
    });
    assert_eq!((host.number("run", b""), host.count()), (2, 2));
}

fn calls_are_served_while_modules_come_and_go(subject: &Subject) {
    let modules = [numbered(1), numbered(2)];
    let host = subject.host(Guest::binary(modules[0].clone()));
    thread::scope(|scope| {
        let replacer = scope.spawn(|| {
            for round in 0..10 {
                host.replace(&modules[(round + 1) % 2]).unwrap();
                Failure::REPLACE_FAILED.check(&host.replace(b"garbage").unwrap_err());
            }
        });
        while !replacer.is_finished() {
            assert!((1..=2).contains(&host.number("run", b"")));
        }
        replacer.join().unwrap();
    });
    assert_eq!(host.number("run", b""), 1);
}
