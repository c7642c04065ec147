//! Data and element segments that reach outside memories and tables, overlap, or come in crowds.

use antiphon::errors::ErrorKind;

use super::raw::{self, Raw, leb, signed_leb};
use crate::suite::{Case, Guest, Need, Subject, case};
use crate::support::{Failure, cause, says};

pub(super) const CASES: &[Case] = &[
    case!(hostile_segments::data_over_the_end_of_memory_is_a_failed_start).hostile(),
    case!(hostile_segments::data_at_offsets_that_would_wrap_is_a_failed_start).hostile(),
    case!(hostile_segments::empty_data_behind_the_end_of_memory_is_a_failed_start).hostile(),
    case!(hostile_segments::data_at_the_last_byte_is_served).hostile(),
    case!(hostile_segments::data_at_the_last_byte_of_the_largest_memory_is_served)
        .needs(&[Need::MemoryLimit])
        .hostile(),
    case!(hostile_segments::data_of_a_memory_without_pages_is_a_failed_start).hostile(),
    case!(hostile_segments::overlapping_data_lands_in_order).hostile(),
    case!(hostile_segments::a_good_segment_before_a_bad_one_leaves_no_instance).hostile(),
    case!(hostile_segments::twenty_thousand_tiny_segments_are_served).hostile(),
    case!(hostile_segments::a_hundred_thousand_and_one_segments_are_refused).hostile(),
    case!(hostile_segments::megabytes_of_passive_data_are_served).hostile(),
    case!(hostile_segments::data_larger_than_its_memory_is_a_failed_start).hostile(),
    case!(hostile_segments::passive_data_is_copied_within_its_bounds_or_not_at_all).keeps_state().hostile(),
    case!(hostile_segments::dropped_data_is_gone_until_the_instance_is_rebuilt).keeps_state().hostile(),
    case!(hostile_segments::computed_offsets_wrap_and_are_then_checked).hostile(),
    case!(hostile_segments::segments_of_memories_and_tables_that_are_not_there_are_refused).hostile(),
    case!(hostile_segments::elements_over_the_end_of_a_table_are_a_failed_start).hostile(),
    case!(hostile_segments::elements_of_functions_that_are_not_there_are_refused).hostile(),
    case!(hostile_segments::ten_thousand_passive_elements_are_served).hostile(),
    case!(hostile_segments::elements_by_the_million_are_refused).hostile(),
    case!(hostile_segments::passive_elements_are_copied_within_their_bounds_or_not_at_all).hostile(),
    case!(hostile_segments::calls_through_a_table_that_go_nowhere_are_traps).hostile(),
    case!(hostile_segments::elements_that_count_to_four_billion_are_refused).hostile(),
];

/// Answers the 16 bytes at 64.
const SHOW: &str = "(func $run (param i32 i32) (result i32) (call $answer (i32.const 64) (i32.const 16)))";

/// Expects a start to end with a trap before any function of the guest runs.
#[track_caller]
fn fails_to_start(subject: &Subject, guest: Guest) {
    let error = subject.refuses(guest, Failure::INIT_FAILED);
    says(&error, &["Initialization failed: instantiation: "]);
    assert_eq!(cause(&error).kind(), ErrorKind::Trapped, "{error:#?}");
}

fn data_over_the_end_of_memory_is_a_failed_start(subject: &Subject) {
    for offset in [65_535, 65_536, 65_537, 0x10_0000, 0x7fff_ffff] {
        fails_to_start(subject, Guest::new(&format!("(data (i32.const {offset}) \"xy\") {SHOW}")));
    }
}

fn data_at_offsets_that_would_wrap_is_a_failed_start(subject: &Subject) {
    // As signed numbers these lie before the memory, and in 32 bits their ends lie inside it.
    for offset in [-1, -2, -8, i32::MIN] {
        fails_to_start(subject, Guest::new(&format!("(data (i32.const {offset}) \"twelve bytes\") {SHOW}")));
    }
}

fn empty_data_behind_the_end_of_memory_is_a_failed_start(subject: &Subject) {
    // An empty segment is allowed at the end of memory, but not behind it.
    assert_eq!(subject.host(Guest::new(&format!("(data (i32.const 65536) \"\") {SHOW}"))).count(), 1);
    for offset in [65_537, -1] {
        fails_to_start(subject, Guest::new(&format!("(data (i32.const {offset}) \"\") {SHOW}")));
    }
}

fn data_at_the_last_byte_is_served(subject: &Subject) {
    let host = subject.host(Guest::new(
        r#"(data (i32.const 65535) "!")
           (func $run (param i32 i32) (result i32) (call $answer (i32.const 65535) (i32.const 1)))"#,
    ));
    assert_eq!(host.answer("run", b""), b"!");
}

fn data_at_the_last_byte_of_the_largest_memory_is_served(subject: &Subject) {
    // One byte on each of a thousand pages, up to the last byte that the limit allows.
    let mut body = String::from(
        "(func $run (param i32 i32) (result i32) (call $answer (i32.const 0x3ffffff) (i32.const 1)))",
    );
    for page in 1..=1024 {
        body.push_str(&format!("(data (i32.const {}) \"\\{:02x}\")", page * 65_536 - 1, page % 256));
    }
    let guest = Guest::with_memory(r#"(memory (export "memory") 1024)"#, &body);
    assert_eq!(subject.host(guest).answer("run", b""), [0]);
    let over = format!("{body} (data (i32.const 0x3ffffff) \"xy\")");
    fails_to_start(subject, Guest::with_memory(r#"(memory (export "memory") 1024)"#, &over));
}

fn data_of_a_memory_without_pages_is_a_failed_start(subject: &Subject) {
    let text = |data: &str| {
        format!(
            r#"(module (memory (export "memory") 0) (data (i32.const 0) "{data}")
                 (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#
        )
    };
    fails_to_start(subject, Guest::module(&text("x")));
    let host = subject.host(Guest::module(&text("")));
    Failure::MISBEHAVED.check(&host.call("run", b"").unwrap_err());
}

fn overlapping_data_lands_in_order(subject: &Subject) {
    let host = subject.host(Guest::new(&format!(
        r#"(data (i32.const 64) "aaaaaaaaaaaaaaaa")
           (data (i32.const 68) "bbbbbbbb")
           (data (i32.const 64) "")
           (data (i32.const 70) "cc")
           (data (i32.const 71) "dd")
           (data (i32.const 60) "eeeee")
           {SHOW}"#
    )));
    assert_eq!(host.answer("run", b""), b"eaaabbcddbbbaaaa");
}

fn a_good_segment_before_a_bad_one_leaves_no_instance(subject: &Subject) {
    // The start section would log, but must not run.
    let log = crate::suite::Log::default();
    let guest = Guest::new(&format!(
        r#"(data (i32.const 64) "written")
           (data (i32.const 65530) "not written")
           (start $go) (func $go (call $console_log (i32.const 64) (i32.const 7)))
           {SHOW}"#
    ));
    let error = subject.refuses(guest.log(&log), Failure::INIT_FAILED);
    assert_eq!(cause(&error).kind(), ErrorKind::Trapped);
    assert_eq!(log.texts(), [""; 0]);
}

fn twenty_thousand_tiny_segments_are_served(subject: &Subject) {
    // All segments write one byte, so the guest sees the last one; echoing uses other bytes.
    let raw = Raw::echo().each(raw::DATA, 20_000, |i| [&[0, 0x41, 0, 0x0b, 1][..], &[i as u8]].concat());
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
    let passive = Raw::echo().many(raw::DATA, 20_000, &[1, 1, b'x']);
    assert_eq!(subject.host(passive.guest()).answer("echo", b"served"), b"served");
}

fn a_hundred_thousand_and_one_segments_are_refused(subject: &Subject) {
    for (section, segment) in [(raw::DATA, &[1, 0][..]), (raw::ELEMENTS, &[1, 0, 0])] {
        subject.refuses(Raw::echo().many(section, 100_001, segment).guest(), Failure::INVALID_MODULE);
    }
}

fn megabytes_of_passive_data_are_served(subject: &Subject) {
    let data = vec![b'x'; 8 << 20];
    let raw = Raw::echo().add(raw::DATA, 1, &[&[1][..], &leb(data.len() as u64), &data].concat());
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
}

fn data_larger_than_its_memory_is_a_failed_start(subject: &Subject) {
    let data = vec![b'x'; 8 << 20];
    let segment = [&[0, 0x41, 0, 0x0b][..], &leb(data.len() as u64), &data].concat();
    fails_to_start(subject, Raw::echo().add(raw::DATA, 1, &segment).guest());
}

/// Copies from a passive segment of 8 bytes to 64; offset and length are in the payload. An
/// operation of four letters drops the segment first.
const COPY: &str = r#"
    (data $eight "12345678")
    (func $run (param $op i32) (param i32) (result i32)
      (call $guest_request (i32.const 256) (i32.const 0))
      (if (i32.eq (local.get $op) (i32.const 4)) (then (data.drop $eight)))
      (memory.init $eight (i32.const 64) (i32.load (i32.const 0)) (i32.load (i32.const 4)))
      (call $answer (i32.const 64) (i32.const 8)))"#;

fn passive_data_is_copied_within_its_bounds_or_not_at_all(subject: &Subject) {
    let host = subject.host(Guest::new(COPY));
    let numbers = |offset: i32, length: i32| [offset, length].map(i32::to_le_bytes).concat();
    assert_eq!(host.answer("run", &numbers(0, 8)), b"12345678");
    assert_eq!(host.answer("run", &numbers(8, 0)), b"12345678");
    for (offset, length) in [(0, 9), (8, 1), (9, 0), (-1, 1), (1, -1), (-1, -1), (0, i32::MIN)] {
        host.fails("run", &numbers(offset, length), Failure::TRAPPED);
        // A copy that does not fit writes nothing, and the instance is fresh.
        assert_eq!(host.answer("run", &numbers(2, 0)), [0; 8]);
    }
}

fn dropped_data_is_gone_until_the_instance_is_rebuilt(subject: &Subject) {
    let host = subject.host(Guest::new(COPY));
    let eight = [0, 8].map(i32::to_le_bytes).concat();
    assert_eq!(host.answer("drop", &[0; 8]), [0; 8]);
    host.fails("run", &eight, Failure::TRAPPED);
    assert_eq!(host.answer("run", &eight), b"12345678");
}

fn computed_offsets_wrap_and_are_then_checked(subject: &Subject) {
    let at = |offset: &str| Guest::new(&format!("(data (offset {offset}) \"0123456789abcdef\") {SHOW}"));
    for offset in [
        "(i32.add (i32.const -1) (i32.const 65))",
        "(i32.mul (i32.const 0x10000) (i32.add (i32.const 0x10000) (i32.const 0))) (i32.const 64) i32.add",
        "(i32.sub (i32.const 0) (i32.const -64))",
    ] {
        assert_eq!(subject.host(at(offset)).answer("run", b""), b"0123456789abcdef", "{offset}");
    }
    fails_to_start(subject, at("(i32.mul (i32.const 0x7fff) (i32.const 0x10001))"));
    fails_to_start(subject, at("(i32.sub (i32.const 0) (i32.const 1))"));
}

fn segments_of_memories_and_tables_that_are_not_there_are_refused(subject: &Subject) {
    let bad: [(u8, &[u8]); 6] = [
        (raw::DATA, &[2, 1, 0x41, 0, 0x0b, 0]),                 // memory 1
        (raw::DATA, &[3, 0]),                                   // no such kind of segment
        (raw::DATA, &[0, 0x42, 0, 0x0b, 0]),                    // an offset of 64 bits
        (raw::ELEMENTS, &[0, 0x41, 0, 0x0b, 1, 2]),             // no table at all
        (raw::ELEMENTS, &[8, 0]),                               // no such kind of segment
        (raw::ELEMENTS, &[4, 0x41, 0, 0x0b, 1, 0x41, 0, 0x0b]), // a number where a function is due
    ];
    for (section, segment) in bad {
        subject.refuses(Raw::echo().add(section, 1, segment).guest(), Failure::INVALID_MODULE);
    }
}

fn elements_over_the_end_of_a_table_are_a_failed_start(subject: &Subject) {
    let elements = |offset: i64, count: usize| {
        let elements = "$run ".repeat(count);
        Guest::new(&format!("(table 10 funcref) (elem (i32.const {offset}) {elements}) {SHOW}"))
    };
    assert_eq!(subject.host(elements(0, 10)).count(), 1);
    assert_eq!(subject.host(elements(10, 0)).count(), 1);
    for (offset, count) in [(0, 11), (9, 2), (10, 1), (11, 0), (-1, 1), (-1, 0), (0x7fff_ffff, 2)] {
        fails_to_start(subject, elements(offset, count));
    }
}

fn elements_of_functions_that_are_not_there_are_refused(subject: &Subject) {
    let raw = Raw::echo().add(raw::TABLES, 1, &[0x70, 0, 10]);
    for function in [3, 0xffff_ffff] {
        let segment = [&[0, 0x41, 0, 0x0b, 1][..], &leb(function)].concat();
        subject.refuses(raw.clone().add(raw::ELEMENTS, 1, &segment).guest(), Failure::INVALID_MODULE);
    }
    let segment = [&[0, 0x41][..], &signed_leb(8), &[0x0b, 2, 2, 2]].concat();
    assert_eq!(subject.host(raw.add(raw::ELEMENTS, 1, &segment).guest()).answer("echo", b"ok"), b"ok");
}

fn ten_thousand_passive_elements_are_served(subject: &Subject) {
    let segment = [&[1, 0][..], &leb(10_000), &vec![2; 10_000]].concat();
    let raw = Raw::echo().add(raw::ELEMENTS, 1, &segment);
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
}

fn elements_by_the_million_are_refused(subject: &Subject) {
    // An engine may make code for each element: ten bytes of a module would take kilobytes of a
    // compiler's memory.
    let functions = [&[1, 0][..], &leb(1_000_000), &vec![2; 1_000_000]].concat();
    let expressions = [&[5, 0x70][..], &leb(1_000_000), &[0xd2, 2, 0x0b].repeat(1_000_000)].concat();
    for (segments, segment) in
        [(1, functions), (1, expressions), (2_000, [&[1, 0, 50][..], &[2; 50]].concat())]
    {
        let raw = Raw::echo().many(raw::ELEMENTS, segments, &segment);
        let error = subject.refuses(raw.guest(), Failure::INVALID_MODULE);
        says(&error, &["100000"]);
    }
}

fn passive_elements_are_copied_within_their_bounds_or_not_at_all(subject: &Subject) {
    // The payload has the target, the source and the number.
    let host = subject.host(Guest::new(
        r#"(table $table 10 funcref)
           (elem $four func $run $run $run $run)
           (func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 256) (i32.const 0))
             (table.init $table $four
               (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.load (i32.const 8)))
             (call $answer_i32 (ref.is_null (table.get $table (i32.const 9)))))"#,
    ));
    let numbers = |numbers: [i32; 3]| numbers.map(i32::to_le_bytes).concat();
    assert_eq!(host.number("run", &numbers([10, 4, 0])), 1);
    for outside in
        [[0, 0, 5], [7, 0, 4], [0, 4, 1], [10, 0, 1], [-1, 0, 1], [0, -1, 1], [0, 0, -1], [11, 0, 0]]
    {
        host.fails("run", &numbers(outside), Failure::TRAPPED);
        assert_eq!(host.number("run", &numbers([0, 0, 0])), 1, "{outside:?} left something behind");
    }
    assert_eq!(host.number("run", &numbers([6, 0, 4])), 0);
}

fn calls_through_a_table_that_go_nowhere_are_traps(subject: &Subject) {
    // Element 0 is the function itself, called with another type; 1 is null; 2 is an import.
    let host = subject.host(Guest::new(
        r#"(table 3 funcref) (elem (i32.const 0) $run) (elem (i32.const 2) $console_log)
           (type $odd (func (param i64) (result f64)))
           (func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 256) (i32.const 0))
             (drop (call_indirect (type $odd) (i64.const 0) (i32.load (i32.const 0))))
             (i32.const 1))"#,
    ));
    for index in [0, 1, 2, 3, -1, i32::MIN] {
        host.fails("run", &index.to_le_bytes(), Failure::TRAPPED);
    }
}

fn elements_that_count_to_four_billion_are_refused(subject: &Subject) {
    let raw = Raw::echo().add(raw::TABLES, 1, &[0x70, 0, 10]);
    let four_billion = leb(u32::MAX.into());
    for segment in [
        [&[0, 0x41, 0, 0x0b][..], &four_billion, &[2, 2]].concat(),
        [&[1, 0][..], &four_billion, &[2, 2]].concat(),
        [&[5, 0x70][..], &four_billion, &[0xd2, 2, 0x0b]].concat(),
    ] {
        subject.refuses(raw.clone().add(raw::ELEMENTS, 1, &segment).guest(), Failure::INVALID_MODULE);
    }
    let data = [&[1][..], &four_billion, b"short"].concat();
    subject.refuses(Raw::echo().add(raw::DATA, 1, &data).guest(), Failure::INVALID_MODULE);
}
