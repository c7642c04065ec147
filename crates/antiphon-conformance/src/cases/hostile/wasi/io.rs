//! Lists of buffers that lie, endless output, random bytes over all of memory, and streams that are
//! closed.

use std::time::Duration;

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Limits, WasiParams};

use crate::suite::{Case, Guest, Log, Need, Subject, case};
use crate::support::{Failure, deadline_in, says, timed, took};

const NEEDS: &[Need] = &[Need::Wasi];
const TIMED: &[Need] = &[Need::Wasi, Need::Deadline];

pub(super) const CASES: &[Case] = &[
    case!(hostile_wasi_io::lists_of_too_many_buffers_are_an_error_number).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::buffers_that_overlap_are_written_each_in_turn).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::a_list_that_lists_itself_is_written_as_it_was).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::a_result_that_lands_in_the_list_comes_last).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::one_wild_buffer_among_good_ones_writes_none).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::lists_over_the_end_of_memory_are_traps).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::the_whole_memory_a_thousand_times_is_written_and_little_of_it_kept)
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_io::buffers_of_four_gibibytes_together_are_an_error_number).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::output_without_end_ends_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_io::empty_lines_without_end_end_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_io::a_line_without_end_takes_no_more_than_a_line).needs(TIMED).hostile(),
    case!(hostile_wasi_io::output_of_no_text_is_made_harmless).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::random_bytes_over_the_guests_own_code_and_data_harm_only_the_guest)
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_io::random_bytes_for_more_than_memory_are_traps).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::random_bytes_without_end_end_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_io::reading_without_end_ends_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_io::yielding_without_end_ends_at_the_deadline).needs(TIMED).hostile(),
    case!(hostile_wasi_io::closed_streams_stay_closed_until_the_instance_is_rebuilt)
        .keeps_state()
        .needs(NEEDS)
        .hostile(),
    case!(hostile_wasi_io::streams_that_change_places_keep_what_they_are).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::arguments_up_to_the_last_byte_of_memory_are_served).needs(NEEDS).hostile(),
    case!(hostile_wasi_io::arguments_over_their_own_pointers_harm_only_the_guest).needs(NEEDS).hostile(),
];

/// Imports of what the cases need, under the newer name.
const IMPORTS: &str = r#"
    (func $fd_write (import "wasi_snapshot_preview1" "fd_write") (param i32 i32 i32 i32) (result i32))
    (func $fd_read (import "wasi_snapshot_preview1" "fd_read") (param i32 i32 i32 i32) (result i32))
    (func $fd_close (import "wasi_snapshot_preview1" "fd_close") (param i32) (result i32))
    (func $fd_renumber (import "wasi_snapshot_preview1" "fd_renumber") (param i32 i32) (result i32))
    (func $random_get (import "wasi_snapshot_preview1" "random_get") (param i32 i32) (result i32))
    (func $sched_yield (import "wasi_snapshot_preview1" "sched_yield") (result i32))
    (func $args_get (import "wasi_snapshot_preview1" "args_get") (param i32 i32) (result i32))
"#;

const BADF: i32 = 8;
const INVAL: i32 = 28;

const DEADLINE: Duration = Duration::from_millis(40);

fn guest(body: &str) -> Guest {
    Guest::new(&format!("{IMPORTS} {body}"))
}

/// Returns a guest that writes a list of buffers to standard output. The payload's numbers are
/// stored from 0 on: the number of buffers, then the list, which begins at 4. Answers the error
/// number, or how much was written.
fn lister() -> Guest {
    guest(
        r#"(func $run (param i32 i32) (result i32)
             (local $errno i32)
             (call $guest_request (i32.const 32768) (i32.const 0))
             (local.set $errno
               (call $fd_write (i32.const 1) (i32.const 4) (i32.load (i32.const 0)) (i32.const 65000)))
             (if (local.get $errno) (then (return (call $answer_i32 (local.get $errno)))))
             (call $answer (i32.const 65000) (i32.const 4)))
           (data (i32.const 16384) "0123456789")"#,
    )
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn lists_of_too_many_buffers_are_an_error_number(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(lister().log(&log));
    for count in [1025, 0x10000, 0x2000_0000, 0x2000_0001, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        assert_eq!(host.number("run", &numbers(&[count, 16384, 1])), INVAL, "{count} buffers");
    }
    assert_eq!(host.number("run", &numbers(&[1024, 0, 0])), 0);
    assert_eq!(host.number("run", &numbers(&[0])), 0);
    assert_eq!(log.texts(), [""; 0]);
    host.counted(10);
}

fn buffers_that_overlap_are_written_each_in_turn(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(lister().log(&log));
    let list = [4, 16384, 10, 16386, 3, 16384, 10, 16393, 1];
    assert_eq!(host.number("run", &numbers(&list)), 24);
    assert_eq!(log.texts(), ["012345678923401234567899"]);
}

fn a_list_that_lists_itself_is_written_as_it_was(subject: &Subject) {
    // Its only buffer is the list itself: pointer 4, length 8.
    let log = Log::default();
    let host = subject.host(lister().log(&log));
    assert_eq!(host.number("run", &numbers(&[1, 4, 8])), 8);
    let lines = log.texts();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains('\0') && lines[0].contains('4'), "{lines:?}");
}

fn a_result_that_lands_in_the_list_comes_last(subject: &Subject) {
    // The number of written bytes lands on the length of the second buffer, then on its pointer.
    let log = Log::default();
    let host = subject.host(
        guest(
            r#"(func $run (param $op i32) (param i32) (result i32)
                 (i32.store (i32.const 0) (i32.const 4096))
                 (i32.store (i32.const 4) (i32.const 3))
                 (i32.store (i32.const 8) (i32.const 4100))
                 (i32.store (i32.const 12) (i32.const 2))
                 (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 2) (local.get $op)))
                 (call $answer (i32.const 0) (i32.const 16)))
               (data (i32.const 4096) "0123456789")"#,
        )
        .log(&log),
    );
    for at in [3, 4, 8, 12] {
        let answer = host.answer(&"o".repeat(at), b"");
        assert_eq!(answer[at..at + 4], 5i32.to_le_bytes());
        assert_eq!(log.texts(), ["01245"]);
    }
}

fn one_wild_buffer_among_good_ones_writes_none(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(lister().log(&log));
    for wild in [[65_536, 1], [u32::MAX, 1], [65_535, 2], [16384, u32::MAX], [u32::MAX, u32::MAX]] {
        let list = [&[3, 16384, 10][..], &wild, &[16384, 10]].concat();
        says(host.fails("run", &numbers(&list), Failure::TRAPPED), &["fd_write", "outside"]);
        let last = [&[2, 16384, 10][..], &wild].concat();
        host.fails("run", &numbers(&last), Failure::TRAPPED);
    }
    assert_eq!(log.texts(), [""; 0]);
    // An empty buffer is never out of bounds.
    assert_eq!(host.number("run", &numbers(&[2, u32::MAX, 0, 16384, 10])), 10);
    assert_eq!(log.texts(), ["0123456789"]);
}

fn lists_over_the_end_of_memory_are_traps(subject: &Subject) {
    let host = subject.host(guest(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 32768) (i32.const 0))
             (call $answer_i32 (call $fd_write
               (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 1024))))"#,
    ));
    for (list, count) in
        [(65_529, 1), (65_528, 2), (65_536, 1), (u32::MAX, 1), (u32::MAX - 7, 1024), (57_345, 1024)]
    {
        host.fails("run", &numbers(&[list, count]), Failure::TRAPPED);
    }
    assert_eq!(host.number("run", &numbers(&[u32::MAX, 0])), 0);
}

/// Returns a guest that lists the whole memory as often as a list may, and writes the list to
/// standard output.
fn whole_memory(pages: u32, count: u32) -> Guest {
    let body = format!(
        r#"{IMPORTS}
           (func $run (param i32 i32) (result i32)
             (local $at i32) (local $errno i32)
             (memory.fill (i32.const 0) (i32.const 120) (i32.const 60000))
             (loop $next
               (i32.store (i32.add (i32.const 16) (i32.mul (local.get $at) (i32.const 8))) (i32.const 0))
               (i32.store (i32.add (i32.const 20) (i32.mul (local.get $at) (i32.const 8)))
                 (i32.mul (memory.size) (i32.const 65536)))
               (local.set $at (i32.add (local.get $at) (i32.const 1)))
               (br_if $next (i32.lt_u (local.get $at) (i32.const {count}))))
             (local.set $errno (call $fd_write (i32.const 1) (i32.const 16) (i32.const {count}) (i32.const 8)))
             (if (local.get $errno) (then (return (call $answer_i32 (local.get $errno)))))
             (call $answer (i32.const 8) (i32.const 4)))"#
    );
    Guest::with_memory(&format!(r#"(memory (export "memory") {pages})"#), &body)
}

fn the_whole_memory_a_thousand_times_is_written_and_little_of_it_kept(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(whole_memory(1, 1024).log(&log));
    for _ in 0..3 {
        assert_eq!(host.number("run", b""), 1024 * 65_536);
        // The default log of one call has 64 KiB.
        let kept: usize = log.texts().iter().map(String::len).sum();
        assert!(kept < 70 << 10, "{kept} bytes of log");
    }
}

fn buffers_of_four_gibibytes_together_are_an_error_number(subject: &Subject) {
    let log = Log::default();
    assert_eq!(subject.host(whole_memory(64, 1024).log(&log)).number("run", b""), INVAL);
    assert_eq!(subject.host(whole_memory(1024, 64).log(&log)).number("run", b""), INVAL);
    assert_eq!(log.texts(), [""; 0]);
}

/// Expects a guest that repeats `body` forever to end by its deadline, with a bounded log.
#[track_caller]
fn forever(subject: &Subject, body: &str) -> Vec<String> {
    let log = Log::default();
    let body = format!(
        "(func $run (param i32 i32) (result i32) (loop $again {body} (br $again)) (i32.const 1))
         (data (i32.const 0) \"\\00\\04\\00\\00\\00\\08\\00\\00\")"
    );
    let host = subject.host(guest(&body).limits(Limits::new().deadline(DEADLINE)).log(&log));
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    Failure::DEADLINE_IN_GUEST.check(&error);
    deadline_in(&error, Phase::Guest);
    took(elapsed, DEADLINE);
    host.counted(1);
    let lines = log.texts();
    let (count, bytes) = (lines.len(), lines.iter().map(String::len).sum::<usize>());
    assert!(bytes < 70 << 10 && count < 5000, "{bytes} bytes of log in {count} lines");
    lines
}

fn output_without_end_ends_at_the_deadline(subject: &Subject) {
    // 2 KiB each time, the first half of them a line.
    let lines = forever(
        subject,
        "(memory.fill (i32.const 1024) (i32.const 120) (i32.const 1023))
         (i32.store8 (i32.const 2047) (i32.const 10))
         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
    );
    assert!(!lines.is_empty());
}

fn empty_lines_without_end_end_at_the_deadline(subject: &Subject) {
    let lines = forever(
        subject,
        "(memory.fill (i32.const 1024) (i32.const 10) (i32.const 2048))
         (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))",
    );
    assert!(!lines.is_empty());
}

fn a_line_without_end_takes_no_more_than_a_line(subject: &Subject) {
    let lines = forever(
        subject,
        "(memory.fill (i32.const 1024) (i32.const 120) (i32.const 2048))
         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
    );
    // The line has no end of its own, so it is logged when the call ends.
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 5000 && lines[0].starts_with("xxxx"), "{} bytes", lines[0].len());
    assert!(!lines[0].ends_with('x'), "nothing says that it was cut");
}

fn output_of_no_text_is_made_harmless(subject: &Subject) {
    // All possible bytes, four times, and a few that control terminals.
    let log = Log::default();
    let host = subject.host(
        guest(
            r#"(func $run (param i32 i32) (result i32)
                 (local $at i32)
                 (loop $next
                   (i32.store8 (i32.add (i32.const 1024) (local.get $at)) (local.get $at))
                   (local.set $at (i32.add (local.get $at) (i32.const 1)))
                   (br_if $next (i32.lt_u (local.get $at) (i32.const 1024))))
                 (i32.store (i32.const 0) (i32.const 1024))
                 (i32.store (i32.const 4) (i32.const 1024))
                 (i32.store (i32.const 8) (i32.const 8192))
                 (i32.store (i32.const 12) (i32.const 22))
                 (call $answer_i32 (call $fd_write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 16))))
               (data (i32.const 8192) "\1b]0;title\07\1b[2J\c2\9b31m\e2\80\ae")"#,
        )
        .log(&log),
    );
    assert_eq!(host.number("run", b""), 0);
    for line in log.texts() {
        let harmful = |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{2028}'..='\u{202e}');
        assert!(!line.contains(harmful), "{line:?}");
    }
}

fn random_bytes_over_the_guests_own_code_and_data_harm_only_the_guest(subject: &Subject) {
    // All of memory, including the names for host calls, and the request.
    let host = subject.host(guest(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 1024) (i32.const 2048))
             (if (call $random_get (i32.const 0) (i32.const 65536)) (then unreachable))
             (drop (call $ask (i32.const 0) (i32.const 64)))
             (call $guest_error (i32.const 0) (i32.const 65536))
             (call $console_log (i32.const 0) (i32.const 65536))
             (call $answer (i32.const 0) (i32.const 65536)))"#,
    ));
    let first = host.answer("run", b"payload");
    let second = host.answer("run", b"payload");
    assert_eq!((first.len(), second.len()), (65_536, 65_536));
    assert!(first != second && first.iter().filter(|byte| **byte == 0).count() < 1000);
    // An operation of one letter still counts: the count is in a global.
    host.counted(3);
}

fn random_bytes_for_more_than_memory_are_traps(subject: &Subject) {
    let host = subject.host(guest(
        r#"(func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 1024) (i32.const 0))
             (call $answer_i32 (call $random_get (i32.load (i32.const 0)) (i32.load (i32.const 4)))))"#,
    ));
    let most = u32::MAX;
    for (buffer, length) in [(0, 65_537), (1, 65_536), (0, most), (most, most), (1, most), (0, 0x8000_0000)] {
        host.fails("run", &numbers(&[buffer, length]), Failure::TRAPPED);
    }
    for buffer in [0, 65_536, most] {
        assert_eq!(host.number("run", &numbers(&[buffer, 0])), 0);
    }
}

fn random_bytes_without_end_end_at_the_deadline(subject: &Subject) {
    // One call fills 48 MiB, which alone takes longer than the deadline.
    let body = format!(
        "{IMPORTS}
         (func $run (param i32 i32) (result i32)
           (loop $again
             (drop (call $random_get (i32.const 65536) (i32.const 50331648)))
             (br $again))
           (i32.const 1))"
    );
    let guest = Guest::with_memory(r#"(memory (export "memory") 769)"#, &body);
    let host = subject.host(guest.limits(Limits::new().deadline(DEADLINE)));
    let (error, elapsed) = timed(|| host.call("run", b"").unwrap_err());
    Failure::DEADLINE_IN_GUEST.check(&error);
    took(elapsed, DEADLINE);
    host.counted(1);
}

fn reading_without_end_ends_at_the_deadline(subject: &Subject) {
    // Like a program that takes zero bytes for 'not yet'.
    let lines =
        forever(subject, "(drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))");
    assert_eq!(lines, [""; 0]);
}

fn yielding_without_end_ends_at_the_deadline(subject: &Subject) {
    assert_eq!(forever(subject, "(drop (call $sched_yield))"), [""; 0]);
}

fn closed_streams_stay_closed_until_the_instance_is_rebuilt(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        guest(
            r#"(func $run (param $op i32) (param i32) (result i32)
                 (i32.store (i32.const 0) (i32.const 4096))
                 (i32.store (i32.const 4) (i32.const 4))
                 (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable)) ;; trap
                 (if (i32.eq (local.get $op) (i32.const 5)) (then ;; close
                   (return (call $answer_i32 (i32.add (i32.add
                     (call $fd_close (i32.const 0)) (call $fd_close (i32.const 1))) (call $fd_close (i32.const 2)))))))
                 (call $answer_i32 (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
               (data (i32.const 4096) "out\n")"#,
        )
        .log(&log),
    );
    assert_eq!(host.number("write!", b""), 0);
    assert_eq!(host.number("close", b""), 0);
    for _ in 0..3 {
        assert_eq!(host.number("write!", b""), BADF);
    }
    assert_eq!(host.number("close", b""), 3 * BADF);
    assert_eq!(log.texts(), ["out"]);
    host.fails("trap", b"", Failure::TRAPPED);
    assert_eq!(host.number("write!", b""), 0);
    assert_eq!(log.texts(), ["out"]);
}

fn streams_that_change_places_keep_what_they_are(subject: &Subject) {
    // Standard error on the descriptor of output, then input on both.
    let log = Log::default();
    let host = subject.host(
        guest(
            r#"(func $write (param $fd i32) (result i32)
                 (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
               (func $run (param i32 i32) (result i32)
                 (i32.store (i32.const 0) (i32.const 4096))
                 (i32.store (i32.const 4) (i32.const 4))
                 (i32.store (i32.const 1024) (call $fd_renumber (i32.const 2) (i32.const 1)))
                 (i32.store (i32.const 1028) (call $write (i32.const 1)))
                 (i32.store (i32.const 1032) (call $write (i32.const 2)))
                 (i32.store (i32.const 1036) (call $fd_renumber (i32.const 0) (i32.const 1)))
                 (i32.store (i32.const 1040) (call $write (i32.const 1)))
                 (i32.store (i32.const 1044) (call $fd_renumber (i32.const 1) (i32.const 1)))
                 (i32.store (i32.const 1048) (call $fd_renumber (i32.const 1) (i32.const 77)))
                 (i32.store (i32.const 1052)
                   (call $fd_read (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                 (call $answer (i32.const 1024) (i32.const 32)))
               (data (i32.const 4096) "err\n")"#,
        )
        .log(&log),
    );
    let answer = host.answer("run", b"");
    let errnos: Vec<i32> =
        answer.chunks(4).map(|four| i32::from_le_bytes(four.try_into().expect("four bytes"))).collect();
    assert_eq!(errnos, [0, 0, BADF, 0, BADF, 0, BADF, 0]);
    let lines: Vec<_> = log.take().into_iter().map(|line| (line.stream, line.text)).collect();
    assert_eq!(lines, [(antiphon::LogStream::Stderr, "err".to_owned())]);
}

/// Returns a guest that asks for three arguments of three letters; the payload says where the
/// pointers and the strings go.
fn arguments() -> Guest {
    let params =
        WasiParams { argv: ["one", "two", "six"].map(str::to_owned).to_vec(), ..WasiParams::default() };
    guest(
        r#"(func $run (param i32 i32) (result i32)
             (local $buffer i32)
             (call $guest_request (i32.const 1024) (i32.const 0))
             (local.set $buffer (i32.load (i32.const 4)))
             (if (call $args_get (i32.load (i32.const 0)) (local.get $buffer)) (then unreachable))
             (call $answer (local.get $buffer) (i32.const 12)))"#,
    )
    .wasi_params(params)
}

fn arguments_up_to_the_last_byte_of_memory_are_served(subject: &Subject) {
    let host = subject.host(arguments());
    for (pointers, buffer) in [(2048, 65_524), (65_524, 2048), (65_512, 65_524), (2049, 65_523)] {
        assert_eq!(host.answer("run", &numbers(&[pointers, buffer])), b"one\0two\0six\0");
    }
    for (pointers, buffer) in
        [(2048, 65_525), (65_525, 2048), (65_535, 65_535), (2048, 65_536), (u32::MAX, 2048), (2048, u32::MAX)]
    {
        let error = host.fails("run", &numbers(&[pointers, buffer]), Failure::TRAPPED);
        assert_eq!(error.kind(), ErrorKind::Trapped);
        says(&error, &["args_get"]);
    }
}

fn arguments_over_their_own_pointers_harm_only_the_guest(subject: &Subject) {
    // The pointers overwrite the strings that they point to.
    let host = subject.host(arguments());
    let at = |buffer: u32| [0, 4, 8].map(|offset| buffer + offset).map(u32::to_le_bytes).concat();
    assert_eq!(host.answer("run", &numbers(&[2048, 2048])), at(2048));
    assert_eq!(host.answer("run", &numbers(&[2044, 2048])), [&at(2048)[4..], b"six\0"].concat());
    host.counted(3);
}
