//! Memories and tables that grow: before, during and after everything else, to their limit and past
//! it.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::ErrorKind;
use antiphon::{Bytes, Limits, Request};

use crate::suite::{Case, Guest, Need, Subject, case};
use crate::support::{Answer, Failure, cause, says};

const NEEDS: &[Need] = &[Need::MemoryLimit];
const TIME: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;
const PAGE: u64 = 65_536;

pub(super) const CASES: &[Case] = &[
    case!(hostile_growth::page_by_page_it_grows_to_its_limit_and_no_further)
        .keeps_state()
        .needs(NEEDS)
        .within(TIME, 96 * MIB),
    case!(hostile_growth::all_of_the_memory_can_be_filled_and_answered_from)
        .needs(NEEDS)
        .within(TIME, 96 * MIB),
    case!(hostile_growth::a_bomb_in_every_call_is_thrown_away_with_its_instance)
        .keeps_state()
        .needs(NEEDS)
        .within(TIME, 112 * MIB),
    case!(hostile_growth::a_bomb_in_every_start_is_thrown_away_with_its_instance)
        .keeps_state()
        .needs(NEEDS)
        .within(TIME, 112 * MIB),
    case!(hostile_growth::growth_among_the_arguments_of_a_host_call_is_seen).hostile(),
    case!(hostile_growth::an_answer_lands_in_memory_that_grew_after_it_came).hostile(),
    case!(hostile_growth::a_request_lands_in_memory_that_grew_for_it).hostile(),
    case!(hostile_growth::growth_while_another_guest_waits_is_its_own_affair)
        .keeps_state()
        .needs(NEEDS)
        .within(TIME, 160 * MIB),
    case!(hostile_growth::exactly_the_limit_is_allowed_in_the_start).needs(NEEDS).hostile(),
    case!(hostile_growth::one_page_past_the_limit_is_refused_in_the_start).needs(NEEDS).hostile(),
    case!(hostile_growth::a_trap_after_a_refusal_in_the_start_is_named_after_the_limit)
        .needs(NEEDS)
        .hostile(),
    case!(hostile_growth::a_refusal_in_the_start_is_not_held_against_the_first_call).needs(NEEDS).hostile(),
    case!(hostile_growth::a_declared_maximum_of_four_gibibytes_is_no_permission)
        .keeps_state()
        .needs(NEEDS)
        .hostile(),
    case!(hostile_growth::a_memory_that_starts_at_its_limit_cannot_grow).needs(NEEDS).hostile(),
    case!(hostile_growth::a_modules_own_maximum_is_no_limit_of_ours).keeps_state().needs(NEEDS).hostile(),
    case!(hostile_growth::a_wild_pointer_after_a_refusal_is_named_after_the_limit).needs(NEEDS).hostile(),
    case!(hostile_growth::an_abort_after_a_refusal_is_named_after_the_limit).needs(NEEDS).hostile(),
    case!(hostile_growth::a_failure_after_a_refusal_is_the_guests_own).needs(NEEDS).hostile(),
    case!(hostile_growth::an_overflow_after_a_refusal_is_an_overflow)
        .needs(&[Need::MemoryLimit, Need::StackLimit])
        .hostile(),
    case!(hostile_growth::a_flood_of_refusals_is_served).needs(NEEDS).hostile(),
    case!(hostile_growth::growing_by_nothing_is_never_refused).needs(NEEDS).hostile(),
    case!(hostile_growth::a_table_grows_one_by_one_to_its_limit_and_no_further)
        .keeps_state()
        .needs(NEEDS)
        .hostile(),
    case!(hostile_growth::ten_tables_can_be_filled_to_their_limits).needs(NEEDS).hostile(),
    case!(hostile_growth::a_growth_that_was_refused_leaves_memory_and_table_alone).needs(NEEDS).hostile(),
    case!(hostile_growth::the_peak_of_memory_is_told).keeps_state().needs(NEEDS).hostile(),
];

fn guest(body: &str) -> Guest {
    Guest::new(&format!("(func $run (param $op i32) (param $msg i32) (result i32) (local $n i32) {body})"))
}

/// Returns limits of ten pages of memory, and of five elements of a table.
fn small() -> Limits {
    Limits::new().memory(10 * PAGE).table_elements(5)
}

fn page_by_page_it_grows_to_its_limit_and_no_further(subject: &Subject) {
    // Each page is written to as soon as it exists.
    let host = subject.host(guest(
        "(block $full (loop $again
           (br_if $full (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
           (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 1))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br $again)))
         (call $answer_i32 (local.get $n))",
    ));
    assert_eq!(host.number("run", b""), 1023, "64 MiB are 1,024 pages");
    assert_eq!(host.number("run", b""), 0);
    host.counted(3);
}

fn all_of_the_memory_can_be_filled_and_answered_from(subject: &Subject) {
    let host = subject.host(guest(
        "(drop (memory.grow (i32.const 1023)))
         (memory.fill (i32.const 65536) (i32.const 120) (i32.const 0x3ff0000))
         (memory.copy (i32.const 65536) (i32.const 0x2000000) (i32.const 0x2000000))
         (call $answer (i32.const 0x3fffffa) (i32.const 6))",
    ));
    assert_eq!(host.answer("run", b""), b"xxxxxx");
    host.counted(2);
}

fn a_bomb_in_every_call_is_thrown_away_with_its_instance(subject: &Subject) {
    // Eight times 64 MiB, of which no two exist at once.
    let host = subject.host(guest(
        "(drop (memory.grow (i32.const 1023)))
         (memory.fill (i32.const 65536) (i32.const 1) (i32.const 0x3ff0000))
         unreachable",
    ));
    for _ in 0..8 {
        Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    }
    host.counted(1);
}

fn a_bomb_in_every_start_is_thrown_away_with_its_instance(subject: &Subject) {
    let guest = Guest::new(
        r#"(func (export "_initialize")
             (drop (memory.grow (i32.const 1023)))
             (memory.fill (i32.const 65536) (i32.const 1) (i32.const 0x3ff0000)))
           (func $run (param i32 i32) (result i32) unreachable)"#,
    );
    let host = subject.host(guest);
    for _ in 0..8 {
        Failure::TRAPPED.check(&host.call("run", b"").unwrap_err());
    }
    host.counted(1);
}

fn growth_among_the_arguments_of_a_host_call_is_seen(subject: &Subject) {
    // The payload's pointer is pushed while it is still wild. Its length is the result of the
    // growth that makes it valid.
    let host = subject.host(
        guest(
            "(i32.store (i32.const 0) (i32.const 0x64636261))
             (call $relay (call $host_call
               (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 2) (i32.const 1)
               (i32.const 131068)
               (i32.add
                 (i32.mul (memory.grow (i32.const 1)) (i32.const 2))
                 (block (result i32)
                   (memory.copy (i32.const 131068) (i32.const 0) (i32.const 4))
                   (i32.const 2)))))",
        )
        .answers(|call| {
            Ok([call.binding.as_bytes(), call.operation.as_bytes(), call.payload].concat().into())
        }),
    );
    assert_eq!(host.answer("run", b""), b"acabcd");
    host.counted(2);
}

fn an_answer_lands_in_memory_that_grew_after_it_came(subject: &Subject) {
    // The answer did not fit into the guest's memory at the time of the host call.
    let host = subject.host(
        guest(
            "(if (i32.eqz (call $ask (i32.const 0) (i32.const 4))) (then unreachable))
             (if (i32.ne (call $host_response_len) (i32.const 1000000)) (then unreachable))
             (drop (memory.grow (i32.const 16)))
             (call $host_response (i32.const 65536))
             (call $answer (i32.const 1065530) (i32.const 6))",
        )
        .answers(|_| Ok([vec![b'-'; 999_994], b"answer".to_vec()].concat().into())),
    );
    assert_eq!(host.answer("run", b""), b"answer");
    host.counted(2);
}

fn a_request_lands_in_memory_that_grew_for_it(subject: &Subject) {
    // A megabyte for a guest of one page: without the growth the pointer is wild.
    let host = subject.host(guest(
        "(if (i32.eq (local.get $op) (i32.const 4)) (then (drop (memory.grow (i32.const 16)))))
         (call $guest_request (i32.const 0) (i32.const 65536))
         (call $answer (i32.const 1114108) (i32.const 4))",
    ));
    let mut payload = vec![b'-'; 1 << 20];
    payload[(1 << 20) - 4..].copy_from_slice(b"last");
    says(host.fails("run", &payload, Failure::TRAPPED), &["__guest_request", "1048576"]);
    assert_eq!(host.answer("grow", &payload), b"last");
}

fn growth_while_another_guest_waits_is_its_own_affair(subject: &Subject) {
    // The handler of one guest calls another guest, which grows to its limit, fills its memory, and
    // is refused one more page.
    let inner = subject.host(guest(
        "(drop (memory.grow (i32.const 1023)))
         (memory.fill (i32.const 65536) (i32.const 1) (i32.const 0x3ff0000))
         (call $answer_i32 (memory.grow (i32.const 1)))",
    ));
    let host = subject.host(
        guest(
            "(if (i32.eqz (call $ask (i32.const 0) (i32.const 4))) (then unreachable))
             (call $host_response (i32.const 0))
             ;; This guest's own limit is untouched, and the other's refusal does not count for it.
             (if (i32.ne (memory.grow (i32.const 9)) (i32.const 1)) (then unreachable))
             (if (local.get $msg) (then unreachable))
             (call $answer (i32.const 0) (i32.const 4))",
        )
        .limits(small())
        .handler(move |_| {
            let inner = inner.clone();
            Answer::Later(Box::pin(async move {
                let answer = inner.call_later(Request::new("run", b"")).await;
                answer.map(|answer| answer.payload.into()).map_err(|error| error.to_string().into())
            }))
        }),
    );
    assert_eq!(host.number("run", b""), -1);
    let error = host.call("run", b"trap").unwrap_err();
    // The second growth by nine pages exceeds this guest's own limit.
    Failure::MEMORY_LIMIT.check(&error);
    Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
}

/// The places where guest code runs before the first call.
const PLACES: [(&str, &str); 4] = [
    ("start section", "(start $early)"),
    ("_initialize", r#"(export "_initialize" (func $early))"#),
    ("_start", r#"(export "_start" (func $early))"#),
    ("wapc_init", r#"(export "wapc_init" (func $early))"#),
];

/// Returns a guest that grows early, then runs `then`, and answers the result of the growth.
fn early(place: &str, pages: u32, then: &str) -> Guest {
    Guest::new(&format!(
        "(global $grown (mut i32) (i32.const 0))
         (func $early (global.set $grown (memory.grow (i32.const {pages}))) {then})
         (func $run (param $op i32) (param $msg i32) (result i32)
           (if (local.get $msg) (then unreachable))
           (call $answer_i32 (i32.add (i32.mul (global.get $grown) (i32.const 100)) (memory.size))))
         {place}"
    ))
    .limits(small())
}

fn exactly_the_limit_is_allowed_in_the_start(subject: &Subject) {
    for (name, place) in PLACES {
        assert_eq!(subject.host(early(place, 9, "")).number("run", b""), 110, "{name}");
    }
}

fn one_page_past_the_limit_is_refused_in_the_start(subject: &Subject) {
    for (name, place) in PLACES {
        assert_eq!(subject.host(early(place, 10, "")).number("run", b""), -99, "{name}");
    }
}

fn a_trap_after_a_refusal_in_the_start_is_named_after_the_limit(subject: &Subject) {
    for (name, place) in PLACES {
        let error = subject.refuses(early(place, 10, "unreachable"), Failure::INIT_FAILED);
        says(&error, &[name]);
        let limit = cause(&error);
        assert_eq!(limit.kind(), ErrorKind::MemoryLimit, "{name}: {error:#?}");
        says(limit, &[&(10 * PAGE).to_string()]);
        assert_eq!(cause(limit).kind(), ErrorKind::Trapped);
        // Without a refused growth it is only a trap.
        let error = subject.refuses(early(place, 9, "unreachable"), Failure::INIT_FAILED);
        assert_eq!(cause(&error).kind(), ErrorKind::Trapped, "{name}");
    }
}

fn a_refusal_in_the_start_is_not_held_against_the_first_call(subject: &Subject) {
    for (_, place) in PLACES {
        let host = subject.host(early(place, 10, ""));
        host.fails("run", b"trap", Failure::TRAPPED);
        // The refusal in the rebuilt instance's start does not count either.
        Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
        Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
    }
}

/// Grows by as many pages as the payload has bytes, and traps if that is refused.
const OR_TRAP: &str = "(func $run (param $op i32) (param $msg i32) (result i32)
   (local $grown i32)
   (local.set $grown (memory.grow (local.get $msg)))
   (if (i32.eq (local.get $grown) (i32.const -1)) (then unreachable))
   (call $answer_i32 (local.get $grown)))";

fn a_declared_maximum_of_four_gibibytes_is_no_permission(subject: &Subject) {
    let memory = r#"(memory (export "memory") 1 65536)"#;
    let host = subject.host(Guest::with_memory(memory, OR_TRAP).limits(small()));
    assert_eq!(host.number("run", &[0; 9]), 1);
    host.fails("run", b"1", Failure::MEMORY_LIMIT);
    host.fails("run", &[0; 65_535], Failure::MEMORY_LIMIT);
    assert_eq!(host.number("run", b""), 1);
}

fn a_memory_that_starts_at_its_limit_cannot_grow(subject: &Subject) {
    let memory = r#"(memory (export "memory") 10)"#;
    let host = subject.host(Guest::with_memory(memory, OR_TRAP).limits(small()));
    assert_eq!(host.number("run", b""), 10);
    host.fails("run", b"1", Failure::MEMORY_LIMIT);
    assert_eq!(host.number("run", b""), 10);
}

fn a_modules_own_maximum_is_no_limit_of_ours(subject: &Subject) {
    // The growth is within the limit, but over the maximum that the module declares.
    let memory = r#"(memory (export "memory") 1 3)"#;
    let host = subject.host(Guest::with_memory(memory, OR_TRAP).limits(small()));
    assert_eq!(host.number("run", b"12"), 1);
    host.fails("run", b"1", Failure::TRAPPED);
    assert_eq!(host.number("run", b"12"), 1);
}

fn a_wild_pointer_after_a_refusal_is_named_after_the_limit(subject: &Subject) {
    // Like an allocator that does not check the result of a growth.
    let host = subject.host(
        guest(
            "(if (local.get $msg) (then (drop (memory.grow (i32.const 10)))))
             (call $answer (i32.const 65536) (i32.const 1))",
        )
        .limits(small()),
    );
    host.fails("run", b"", Failure::TRAPPED);
    let error = host.fails("run", b"grow", Failure::MEMORY_LIMIT);
    says(&error, &[&(10 * PAGE).to_string()]);
    assert_eq!(cause(&error).kind(), ErrorKind::Trapped);
    says(cause(&error), &["__guest_response", "0x10000"]);
}

fn an_abort_after_a_refusal_is_named_after_the_limit(subject: &Subject) {
    // Like AssemblyScript when it is out of memory.
    let host = subject.host(
        Guest::new(
            r#"(func $abort (import "env" "abort") (param i32 i32 i32 i32))
               (func $run (param $op i32) (param $msg i32) (result i32)
                 (drop (memory.grow (local.get $msg)))
                 (call $abort (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 2))
                 (i32.const 1))
               (data (i32.const 0) "\04\00\00\00n\00o\00")"#,
        )
        .limits(small()),
    );
    host.fails("run", &[0; 9], Failure::TRAPPED);
    let error = host.fails("run", &[0; 10], Failure::MEMORY_LIMIT);
    says(error.guest_error().unwrap(), &["no"]);
    says(cause(&error), &["abort", "no"]);
}

fn a_failure_after_a_refusal_is_the_guests_own(subject: &Subject) {
    let host = subject.host(
        guest("(drop (memory.grow (i32.const 10))) (call $fail (i32.const 0) (i32.const 1))").limits(small()),
    );
    assert_eq!(host.fails("run", b"", Failure::GUEST_FAILED).guest_error(), Some("\0"));
}

fn an_overflow_after_a_refusal_is_an_overflow(subject: &Subject) {
    let host = subject.host(
        guest(
            "(drop (memory.grow (i32.const 10)))
             (i32.add (call $run (local.get $op) (local.get $msg)) (i32.const 1))",
        )
        .limits(small()),
    );
    host.fails("run", b"", Failure::STACK_OVERFLOW);
}

fn a_flood_of_refusals_is_served(subject: &Subject) {
    let host = subject.host(
        guest(
            "(local.set $n (i32.const 100000))
             (loop $again
               (if (i32.ne (memory.grow (local.get $n)) (i32.const -1)) (then unreachable))
               (br_if $again (i32.gt_u
                 (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 9))))
             (call $answer_i32 (memory.grow (local.get $n)))",
        )
        .limits(small()),
    );
    assert_eq!(host.number("run", b""), 1, "nine pages are still there to be had");
}

fn growing_by_nothing_is_never_refused(subject: &Subject) {
    let host = subject.host(
        Guest::new(
            "(table $table 5 funcref)
             (func $run (param $op i32) (param $n i32) (result i32)
               (drop (memory.grow (i32.const 9)))
               (local.set $n (i32.const 100000))
               (loop $again
                 (if (i32.ne (memory.grow (i32.const 0)) (i32.const 10)) (then unreachable))
                 (if (i32.ne (table.grow $table (ref.null func) (i32.const 0)) (i32.const 5)) (then unreachable))
                 (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
               (call $answer_i32 (memory.size)))",
        )
        .limits(small()),
    );
    assert_eq!(host.number("run", b""), 10);
}

fn a_table_grows_one_by_one_to_its_limit_and_no_further(subject: &Subject) {
    let host = subject.host(Guest::new(
        "(table $table 0 funcref)
         (elem declare func $run)
         (func $run (param $op i32) (param $msg i32) (result i32)
           (local $n i32)
           (loop $again
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br_if $again (i32.ne (table.grow $table (ref.func $run) (i32.const 1)) (i32.const -1))))
           (call $answer_i32 (i32.sub (local.get $n) (i32.const 1))))",
    ));
    assert_eq!(host.number("run", b""), 20_000);
    assert_eq!(host.number("run", b""), 0);
    host.counted(3);
}

fn ten_tables_can_be_filled_to_their_limits(subject: &Subject) {
    let tables: String = (0..10).map(|n| format!("(table $table{n} 0 funcref)")).collect();
    let grown: String = (0..10)
        .map(|n| {
            format!(
                "(drop (table.grow $table{n} (ref.null func) (i32.const 20000)))
                 (table.fill $table{n} (i32.const 0) (ref.func $run) (i32.const 20000))
                 (if (i32.ne (table.grow $table{n} (ref.func $run) (i32.const 1)) (i32.const -1))
                   (then unreachable))"
            )
        })
        .collect();
    let guest = |tables: &str| {
        Guest::new(&format!(
            "{tables} (elem declare func $run)
             (func $run (param i32 i32) (result i32) {grown} (call $answer_i32 (table.size $table9)))"
        ))
    };
    assert_eq!(subject.host(guest(&tables)).number("run", b""), 20_000);
    let eleven = format!("{tables} (table 0 funcref)");
    says(subject.refuses(guest(&eleven), Failure::INVALID_MODULE), &["table", "10"]);
}

fn a_growth_that_was_refused_leaves_memory_and_table_alone(subject: &Subject) {
    let host = subject.host(
        Guest::new(
            "(table $table 4 funcref)
             (func $run (param $op i32) (param $msg i32) (result i32)
               (i32.store (i32.const 1024) (i32.const 7))
               (drop (memory.grow (i32.const 10)))
               (drop (table.grow $table (ref.null func) (i32.const 2)))
               (drop (memory.grow (i32.const 0x10000)))
               (drop (table.grow $table (ref.null func) (i32.const -1)))
               (call $answer_i32 (i32.add
                 (i32.add (i32.mul (memory.size) (i32.const 100)) (i32.mul (table.size $table) (i32.const 10)))
                 (i32.load (i32.const 1024)))))",
        )
        .limits(small()),
    );
    assert_eq!(host.number("run", b""), 147);
    assert_eq!(host.number("run", b""), 147);
    host.counted(3);
}

fn the_peak_of_memory_is_told(subject: &Subject) {
    let host = subject.host(
        guest("(drop (memory.grow (local.get $msg))) (call $answer_i32 (memory.size))")
            .answers(|_| Ok(Bytes::new())),
    );
    let host = Arc::new(host);
    for (pages, now) in [(0, 1), (1023, 1024), (1023, 1024), (0, 1024)] {
        let response = host.call_with(Request::new("run", vec![0; pages]).usage(true)).unwrap();
        assert_eq!(response.payload, i32::to_le_bytes(now));
        let peak = response.usage.unwrap().memory_peak;
        // An engine may report nothing.
        assert!(peak == 0 || peak == u64::from(now.unsigned_abs()) * PAGE, "{peak} bytes with {now} pages");
    }
}
