//! Limits of memory, tables, stack and sizes.

use antiphon::errors::ErrorKind;
use antiphon::{Bytes, Limits};

use crate::cases::ECHO;
use crate::suite::{Case, Guest, Need, Subject, case};
use crate::support::{Failure, cause, says};

pub(super) const CASES: &[Case] = &[
    case!(limits::a_refused_growth_of_memory_returns_minus_one_and_the_guest_lives)
        .needs(&[Need::MemoryLimit]),
    case!(limits::memory_grows_up_to_its_limit).keeps_state().needs(&[Need::MemoryLimit]),
    case!(limits::memory_is_64_mebibytes_by_default).needs(&[Need::MemoryLimit]),
    case!(limits::a_trap_after_a_refused_growth_is_named_after_the_limit).needs(&[Need::MemoryLimit]),
    case!(limits::a_trap_in_a_later_call_is_only_a_trap).needs(&[Need::MemoryLimit]),
    case!(limits::a_memory_that_starts_over_the_limit_is_refused).needs(&[Need::MemoryLimit]),
    case!(limits::a_refused_growth_of_a_table_returns_minus_one_and_the_guest_lives)
        .keeps_state()
        .needs(&[Need::MemoryLimit]),
    case!(limits::a_trap_after_a_refused_growth_of_a_table_is_named_after_the_limit)
        .needs(&[Need::MemoryLimit]),
    case!(limits::a_table_that_starts_over_the_limit_is_refused).needs(&[Need::MemoryLimit]),
    case!(limits::the_stricter_of_host_and_provider_holds).needs(&[Need::MemoryLimit]),
    case!(limits::endless_recursion_is_a_stack_overflow).needs(&[Need::StackLimit]),
    case!(limits::recursion_through_the_host_import_is_a_stack_overflow).needs(&[Need::StackLimit]),
    case!(limits::recursion_during_the_start_is_a_failed_start).needs(&[Need::StackLimit]),
    case!(limits::a_deep_but_finite_recursion_is_served),
    case!(limits::a_request_over_its_limit_never_reaches_the_guest),
    case!(limits::an_operation_over_its_limit_never_reaches_the_guest),
    case!(limits::a_response_over_its_limit_ends_the_call),
    case!(limits::a_raised_limit_holds),
    case!(limits::a_module_over_its_limit_is_refused),
];

const PAGE: u64 = 65_536;

/// Grows memory by as many pages as the payload says, and answers the old size or -1. `trap` traps
/// afterwards.
const GROWER: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $grown i32)
    (call $guest_request (i32.const 256) (i32.const 0))
    (local.set $grown (memory.grow (i32.load (i32.const 0))))
    (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable))
    (call $answer_i32 (local.get $grown)))
"#;

fn a_refused_growth_of_memory_returns_minus_one_and_the_guest_lives(subject: &Subject) {
    let host = subject.host(Guest::new(GROWER).limits(Limits::new().memory(10 * PAGE)));
    assert_eq!(host.number("growing", &10i32.to_le_bytes()), -1);
    for pages in [65_535, i32::MAX, -1] {
        assert_eq!(host.number("growing", &pages.to_le_bytes()), -1, "{pages} pages");
    }
    assert_eq!(host.number("growing", &0i32.to_le_bytes()), 1, "the memory is as it was");
    host.counted(6);
}

fn memory_grows_up_to_its_limit(subject: &Subject) {
    let host = subject.host(Guest::new(GROWER).limits(Limits::new().memory(10 * PAGE)));
    assert_eq!(host.number("growing", &9i32.to_le_bytes()), 1);
    assert_eq!(host.number("growing", &1i32.to_le_bytes()), -1);
    assert_eq!(host.number("growing", &0i32.to_le_bytes()), 10);
}

fn memory_is_64_mebibytes_by_default(subject: &Subject) {
    let host = subject.host(Guest::new(GROWER));
    assert_eq!(host.number("growing", &1024i32.to_le_bytes()), -1);
    assert_eq!(host.number("growing", &1023i32.to_le_bytes()), 1);
    host.counted(3);
}

fn a_trap_after_a_refused_growth_is_named_after_the_limit(subject: &Subject) {
    let host = subject.host(Guest::new(GROWER).limits(Limits::new().memory(10 * PAGE)));
    let error = host.fails("trap", &10i32.to_le_bytes(), Failure::MEMORY_LIMIT);
    assert_eq!(cause(&error).kind(), ErrorKind::Trapped, "the source is the trap");
    says(&error, &[&(10 * PAGE).to_string()]);
    assert!(error.is_limit());
    // If no growth was refused, the trap is only a trap.
    host.fails("trap", &9i32.to_le_bytes(), Failure::TRAPPED);
}

fn a_trap_in_a_later_call_is_only_a_trap(subject: &Subject) {
    let host = subject.host(Guest::new(GROWER).limits(Limits::new().memory(10 * PAGE)));
    assert_eq!(host.number("growing", &10i32.to_le_bytes()), -1);
    host.fails("trap", &0i32.to_le_bytes(), Failure::TRAPPED);
}

fn a_memory_that_starts_over_the_limit_is_refused(subject: &Subject) {
    let guest = Guest::with_memory(r#"(memory (export "memory") 11)"#, ECHO);
    let error = subject.refuses(guest.limits(Limits::new().memory(10 * PAGE)), Failure::INVALID_MODULE);
    says(&error, &["memory", &(10 * PAGE).to_string()]);
    subject.host(
        Guest::with_memory(r#"(memory (export "memory") 10)"#, ECHO).limits(Limits::new().memory(10 * PAGE)),
    );
    // Over the default limit, although the module declares a higher maximum.
    subject.refuses(
        Guest::with_memory(r#"(memory (export "memory") 1025 65536)"#, ECHO),
        Failure::INVALID_MODULE,
    );
}

/// Grows its table as [`GROWER`] grows its memory.
const TABLE_GROWER: &str = r#"
  (table $table 5 funcref)
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $grown i32)
    (call $guest_request (i32.const 256) (i32.const 0))
    (local.set $grown (table.grow $table (ref.null func) (i32.load (i32.const 0))))
    (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable))
    (call $answer_i32 (local.get $grown)))
"#;

fn a_refused_growth_of_a_table_returns_minus_one_and_the_guest_lives(subject: &Subject) {
    let host = subject.host(Guest::new(TABLE_GROWER).limits(Limits::new().table_elements(10)));
    for elements in [6, 1_000_000, i32::MAX, -1] {
        assert_eq!(host.number("growing", &elements.to_le_bytes()), -1, "{elements} elements");
    }
    assert_eq!(host.number("growing", &5i32.to_le_bytes()), 5);
    assert_eq!(host.number("growing", &1i32.to_le_bytes()), -1);
    host.counted(7);

    let host = subject.host(Guest::new(TABLE_GROWER));
    assert_eq!(host.number("growing", &19_996i32.to_le_bytes()), -1, "20,000 elements by default");
    assert_eq!(host.number("growing", &19_995i32.to_le_bytes()), 5);
}

fn a_trap_after_a_refused_growth_of_a_table_is_named_after_the_limit(subject: &Subject) {
    let host = subject.host(Guest::new(TABLE_GROWER).limits(Limits::new().table_elements(10)));
    let error = host.fails("trap", &6i32.to_le_bytes(), Failure::MEMORY_LIMIT);
    assert_eq!(cause(&error).kind(), ErrorKind::Trapped);
    host.fails("trap", &5i32.to_le_bytes(), Failure::TRAPPED);
}

fn a_table_that_starts_over_the_limit_is_refused(subject: &Subject) {
    // Exported or not.
    for table in ["(table 20001 funcref)", r#"(table (export "table") 20001 funcref)"#] {
        let error = subject.refuses(Guest::new(&format!("{table} {ECHO}")), Failure::INVALID_MODULE);
        says(&error, &["table", "20000"]);
    }
    subject.host(Guest::new(&format!("(table 20000 funcref) {ECHO}")));
}

fn the_stricter_of_host_and_provider_holds(subject: &Subject) {
    let (strict, lax) = (Limits::new().memory(4 * PAGE), Limits::new().memory(8 * PAGE));
    for (provider, host) in [(strict, lax), (lax, strict), (Limits::new(), strict), (strict, Limits::new())] {
        let host = subject.host(Guest::new(GROWER).limits(provider).host_limits(host));
        assert_eq!(host.number("growing", &4i32.to_le_bytes()), -1);
        assert_eq!(host.number("growing", &3i32.to_le_bytes()), 1);
    }
}

fn endless_recursion_is_a_stack_overflow(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $run (param i32 i32) (result i32)
           (i32.add (call $run (local.get 1) (local.get 0)) (i32.const 1)))",
    ));
    for _ in 0..2 {
        let error = host.fails("run", b"", Failure::STACK_OVERFLOW);
        assert!(error.is_limit());
    }
}

fn recursion_through_the_host_import_is_a_stack_overflow(subject: &Subject) {
    // Each level also calls imports, so the host's part of the stack is used at every depth.
    let host = subject.host(
        Guest::new(
            "(func $run (param i32 i32) (result i32)
               (call $guest_request (i32.const 0) (i32.const 0))
               (call $console_log (i32.const 0) (i32.const 1))
               (drop (call $ask (i32.const 0) (i32.const 1)))
               (i32.add (call $run (local.get 1) (local.get 0)) (i32.const 1)))",
        )
        .limits(Limits::new().host_calls(u64::MAX).log(0))
        .answers(|_| Ok(Bytes::new())),
    );
    host.fails("run", b"", Failure::STACK_OVERFLOW);
}

fn recursion_during_the_start_is_a_failed_start(subject: &Subject) {
    let guest = Guest::new(
        "(start $deep) (func $deep (call $deep) (call $deep))
         (func $run (param i32 i32) (result i32) (i32.const 1))",
    );
    let error = subject.refuses(guest, Failure::INIT_FAILED);
    assert_eq!(cause(&error).kind(), ErrorKind::StackOverflow);
}

fn a_deep_but_finite_recursion_is_served(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(func $sum (param i32) (result i32)
           (if (result i32) (local.get 0)
             (then (i32.add (local.get 0) (call $sum (i32.sub (local.get 0) (i32.const 1)))))
             (else (i32.const 0))))
         (func $run (param i32 i32) (result i32) (call $answer_i32 (call $sum (i32.const 500))))",
    ));
    assert_eq!(host.number("run", b""), 125_250);
}

fn a_request_over_its_limit_never_reaches_the_guest(subject: &Subject) {
    let memory = r#"(memory (export "memory") 80)"#;
    let host = subject.host(Guest::with_memory(memory, ECHO));
    let at_limit = vec![7; 4 << 20];
    assert!(host.answer("echo", &at_limit) == at_limit);
    let error = host.fails("echo", &vec![7; (4 << 20) + 1], Failure::REQUEST_TOO_LARGE);
    says(&error, &["request", "4194305", "4194304"]);
    assert!(error.is_limit());

    let host = subject.host(Guest::new(ECHO).limits(Limits::new().request(10)));
    assert_eq!(host.answer("echo", &[1; 10]), [1; 10]);
    host.fails("echo", &[1; 11], Failure::REQUEST_TOO_LARGE);
}

fn an_operation_over_its_limit_never_reaches_the_guest(subject: &Subject) {
    let host = subject.host(Guest::new(ECHO));
    assert_eq!(host.answer(&"o".repeat(1024), b"fine"), b"fine");
    let error = host.fails(&"o".repeat(1025), b"", Failure::REQUEST_TOO_LARGE);
    says(&error, &["operation", "1025", "1024"]);
}

fn a_response_over_its_limit_ends_the_call(subject: &Subject) {
    // Answers as many bytes as the payload says.
    let body = "(func $run (param i32 i32) (result i32)
                  (call $guest_request (i32.const 256) (i32.const 0))
                  (call $answer (i32.const 0) (i32.load (i32.const 0))))";
    let host = subject.host(Guest::with_memory(r#"(memory (export "memory") 80)"#, body));
    assert_eq!(host.answer("run", &(4i32 << 20).to_le_bytes()).len(), 4 << 20);
    let error = host.fails("run", &((4i32 << 20) + 1).to_le_bytes(), Failure::RESPONSE_TOO_LARGE);
    says(&error, &["response", "4194305", "4194304"]);

    let host = subject.host(Guest::new(body).limits(Limits::new().response(10)));
    assert_eq!(host.answer("run", &10i32.to_le_bytes()).len(), 10);
    host.fails("run", &11i32.to_le_bytes(), Failure::RESPONSE_TOO_LARGE);
}

fn a_raised_limit_holds(subject: &Subject) {
    let limits = Limits::new().memory(256 << 20).request(6 << 20).response(6 << 20);
    let memory = r#"(memory (export "memory") 1500)"#;
    let host = subject.host(Guest::with_memory(memory, ECHO).limits(limits));
    let payload = vec![9; 5 << 20];
    assert!(host.answer("echo", &payload) == payload);
}

fn a_module_over_its_limit_is_refused(subject: &Subject) {
    let text = format!("(data $padding \"{}\") {ECHO}", "x".repeat(5000));
    subject.host(Guest::new(&text));
    let error =
        subject.refuses(Guest::new(&text).limits(Limits::new().module(5000)), Failure::INVALID_MODULE);
    says(&error, &["5000"]);
}
