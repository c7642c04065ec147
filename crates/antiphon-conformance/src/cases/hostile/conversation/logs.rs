//! Logs that flood, deceive or break their readers.

use std::time::Duration;

use antiphon::{Limits, LogStream};

use crate::suite::{Case, Guest, Host, Log, Need, Subject, case};
use crate::support::Failure;

const TIME: Duration = Duration::from_secs(5);

pub(super) const CASES: &[Case] = &[
    case!(hostile_logs::a_flood_of_one_byte_lines_is_cut_off).within(TIME, 32 << 20),
    case!(hostile_logs::a_flood_of_lines_as_large_as_memory_is_cut_off).within(TIME, 128 << 20),
    case!(hostile_logs::a_spent_budget_refuses_no_other_message).hostile(),
    case!(hostile_logs::the_start_has_a_budget_of_its_own).keeps_state().hostile(),
    case!(hostile_logs::all_of_the_start_shares_one_budget).hostile(),
    case!(hostile_logs::output_and_console_share_one_budget).needs(&[Need::Wasi]).hostile(),
    case!(hostile_logs::lines_before_a_trap_are_kept).hostile(),
    case!(hostile_logs::escape_sequences_are_escaped).hostile(),
    case!(hostile_logs::every_control_character_is_escaped_but_the_tab).hostile(),
    case!(hostile_logs::every_bidirectional_control_is_escaped).hostile(),
    case!(hostile_logs::a_line_cannot_fake_another_line).hostile(),
    case!(hostile_logs::bytes_that_are_not_utf8_never_grow_past_their_escapes).within(TIME, 32 << 20),
    case!(hostile_logs::control_characters_never_grow_past_their_escapes).within(TIME, 32 << 20),
    case!(hostile_logs::overlong_and_surrogate_encodings_are_replaced).hostile(),
    case!(hostile_logs::a_character_across_the_limit_is_left_out).hostile(),
    case!(hostile_logs::an_error_text_keeps_its_characters_as_they_are).hostile(),
    case!(hostile_logs::an_operation_of_the_caller_is_not_the_guests_to_change).hostile(),
];

/// Starts a guest that logs the payload `times` times.
fn logger(subject: &Subject, log: &Log, times: u32) -> Host {
    subject.host(
        Guest::new(&format!(
            "(func $run (param $op i32) (param $msg i32) (result i32)
               (local $n i32) (local.set $n (i32.const {times}))
               (call $guest_request (i32.const 512) (i32.const 1024))
               (loop $again
                 (call $console_log (i32.const 1024) (local.get $msg))
                 (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
               (call $answer (i32.const 0) (i32.const 0)))"
        ))
        .log(log),
    )
}

/// Returns the one line that a payload becomes.
#[track_caller]
fn logged(subject: &Subject, payload: &[u8]) -> String {
    let log = Log::default();
    let host = logger(subject, &log, 1);
    host.answer("log", payload);
    let [line] = <[String; 1]>::try_from(log.texts()).expect("one line");
    line
}

fn a_flood_of_one_byte_lines_is_cut_off(subject: &Subject) {
    let log = Log::default();
    let host = logger(subject, &log, 100_000);
    for _ in 0..2 {
        host.answer("log", b"x");
        // Each line costs at least 16 bytes of the 64 KiB, so even empty lines end.
        assert_eq!(log.take().len(), 4096);
    }
    host.counted(3);
}

fn a_flood_of_lines_as_large_as_memory_is_cut_off(subject: &Subject) {
    // 64 MiB each, not UTF-8: to decode one of them completely would take 192 MiB.
    let log = Log::default();
    let guest = Guest::with_memory(
        r#"(memory (export "memory") 1024)"#,
        "(func $run (param $op i32) (param $n i32) (result i32)
           (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 0x4000000))
           (local.set $n (i32.const 10000))
           (loop $again
             (call $console_log (i32.const 0) (i32.const 0x4000000))
             (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
           (call $answer (i32.const 0) (i32.const 0)))",
    );
    let host = subject.host(guest.log(&log));
    host.answer("log", b"");
    let lines = log.texts();
    assert_eq!(lines.len(), 16, "16 lines of 4 KiB are 64 KiB");
    for line in lines {
        assert_eq!(line.matches('\u{fffd}').count(), 4096);
        assert!(line.len() < 3 * 4096 + 100, "{} bytes", line.len());
    }
    host.counted(2);
}

fn a_spent_budget_refuses_no_other_message(subject: &Subject) {
    let log = Log::default();
    let guest = Guest::new(
        "(func $run (param $op i32) (param $msg i32) (result i32)
           (local $n i32) (local.set $n (i32.const 5000))
           (loop $again
             (call $console_log (i32.const 0) (i32.const 0))
             (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
           (call $guest_request (i32.const 512) (i32.const 1024))
           (call $relay (call $ask (i32.const 1024) (local.get $msg))))",
    );
    let host = subject.host(guest.log(&log).answers(|call| Ok(call.payload.to_ascii_uppercase().into())));
    assert_eq!(host.answer("run", b"still here"), b"STILL HERE");
    assert_eq!(log.texts(), vec![""; 4096]);
    // A wild pointer is a trap even where the line would be dropped.
    let guest = Guest::new(
        "(func $run (param i32 i32) (result i32)
           (call $console_log (i32.const 65536) (i32.const 1)) (i32.const 1))",
    );
    subject.host(guest.limits(Limits::new().log(0))).fails("run", b"", Failure::TRAPPED);
}

/// Returns a function `$flood` that logs a line of one byte `times` times.
fn flood(times: u32) -> String {
    format!(
        "(func $flood
           (local $n i32) (local.set $n (i32.const {times}))
           (loop $again
             (call $console_log (i32.const 0) (i32.const 1))
             (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
    )
}

fn the_start_has_a_budget_of_its_own(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        Guest::new(&format!(
            r#"{} (func (export "wapc_init") (call $flood))
               (func $run (param i32 i32) (result i32)
                 (call $flood) (if (local.get 1) (then unreachable)) (call $answer (i32.const 0) (i32.const 0)))"#,
            flood(5000)
        ))
        .log(&log),
    );
    assert_eq!(log.take().len(), 4096);
    host.answer("run", b"");
    assert_eq!(log.take().len(), 4096);
    // A rebuild is a start too, and takes nothing from the log budget of the call that waits for
    // it.
    Failure::TRAPPED.check(&host.call("run", b"trap").unwrap_err());
    assert_eq!(log.take().len(), 4096);
    host.answer("run", b"");
    assert_eq!(log.take().len(), 2 * 4096);
}

fn all_of_the_start_shares_one_budget(subject: &Subject) {
    let log = Log::default();
    subject.host(
        Guest::new(&format!(
            r#"{} (start $flood)
               (export "_initialize" (func $flood)) (export "_start" (func $flood))
               (export "wapc_init" (func $flood))
               (func $run (param i32 i32) (result i32) (i32.const 1))"#,
            flood(2000)
        ))
        .log(&log),
    );
    assert_eq!(log.take().len(), 4096, "of 8,000 lines");
}

fn output_and_console_share_one_budget(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(
        Guest::new(
            r#"(func $fd_write (import "wasi_snapshot_preview1" "fd_write")
                 (param i32 i32 i32 i32) (result i32))
               (func $run (param $op i32) (param $n i32) (result i32)
                 (local.set $n (i32.const 3000))
                 (loop $again
                   (call $console_log (i32.const 0) (i32.const 1))
                   (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
                   (drop (call $fd_write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 32)))
                   (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                 (call $answer (i32.const 0) (i32.const 0)))
               ;; "x", a line feed, and the span of both
               (data (i32.const 0) "x\0a") (data (i32.const 16) "\00\00\00\00\02\00\00\00")"#,
        )
        .log(&log),
    );
    host.answer("run", b"");
    let lines = log.take();
    assert_eq!(lines.len(), 4096, "of 9,000 lines");
    for stream in [LogStream::Console, LogStream::Stdout, LogStream::Stderr] {
        let count = lines.iter().filter(|line| line.stream == stream).count();
        assert!((1365..=1366).contains(&count), "{count} lines of {stream:?}");
    }
}

fn lines_before_a_trap_are_kept(subject: &Subject) {
    let log = Log::default();
    let guest = Guest::new(
        r#"(func $run (param i32 i32) (result i32)
             (call $console_log (i32.const 0) (i32.const 4))
             (call $console_log (i32.const 0) (i32.const -1))
             (i32.const 1))
           (data (i32.const 0) "last")"#,
    );
    subject.host(guest.log(&log)).fails("run", b"", Failure::TRAPPED);
    assert_eq!(log.texts(), ["last"]);
}

fn escape_sequences_are_escaped(subject: &Subject) {
    for (sequence, escaped) in [
        ("\u{1b}[2J\u{1b}[H", "\\u{1b}[2J\\u{1b}[H"),
        ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
        ("\u{1b}]8;;http://x\u{1b}\\link", "\\u{1b}]8;;http://x\\u{1b}\\link"),
        ("\u{9b}31m red", "\\u{9b}31m red"),
        ("\u{90}1$q\u{9c}", "\\u{90}1$q\\u{9c}"),
        ("over\u{8}\u{8}\u{8}\u{8}under", "over\\u{8}\\u{8}\\u{8}\\u{8}under"),
        ("\u{7f}", "\\u{7f}"),
    ] {
        assert_eq!(logged(subject, sequence.as_bytes()), escaped);
    }
    // A lone byte of the old eight-bit controls is not a character.
    assert_eq!(logged(subject, b"\x9b31m"), "\u{fffd}31m");
}

fn every_control_character_is_escaped_but_the_tab(subject: &Subject) {
    let controls: String = ('\0'..='\u{9f}').filter(|c| c.is_control() && *c != '\t').collect();
    assert_eq!(controls.chars().count(), 64);
    let line = logged(subject, format!("<{controls}\t>").as_bytes());
    let expected: String = controls.chars().map(|c| c.escape_default().to_string()).collect();
    assert_eq!(line, format!("<{expected}\t>"));
}

fn every_bidirectional_control_is_escaped(subject: &Subject) {
    // All characters with Unicode's property `Bidi_Control`, and its two separators.
    let controls = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
        '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{2028}', '\u{2029}',
    ];
    for control in controls {
        let line = logged(subject, format!("access {control}denied").as_bytes());
        assert_eq!(line, format!("access {}denied", control.escape_unicode()));
    }
}

fn a_line_cannot_fake_another_line(subject: &Subject) {
    let log = Log::default();
    let host = logger(subject, &log, 1);
    host.answer("log", "fine\n2026-01-01 ERROR all is lost\r\n\u{85}\u{b}\u{c}".as_bytes());
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].text, "fine\\n2026-01-01 ERROR all is lost\\r\\n\\u{85}\\u{b}\\u{c}");
    assert_eq!((lines[0].stream, lines[0].host_id), (LogStream::Console, host.id()));
}

/// Logs lines of one repeated byte until the budget is spent. No line may be longer than its
/// escapes.
#[track_caller]
fn grows_at_most(subject: &Subject, byte: u8, escaped: &str) {
    let log = Log::default();
    logger(subject, &log, 1000).answer("log", &[byte; 5000]);
    let lines = log.texts();
    assert_eq!(lines.len(), 16);
    for line in lines {
        assert_eq!(line.matches(escaped).count(), 4096);
        assert!(line.len() < escaped.len() * 4096 + 100, "{} bytes", line.len());
    }
}

fn bytes_that_are_not_utf8_never_grow_past_their_escapes(subject: &Subject) {
    grows_at_most(subject, 0xff, "\u{fffd}");
}

fn control_characters_never_grow_past_their_escapes(subject: &Subject) {
    grows_at_most(subject, 0x1b, "\\u{1b}");
}

fn overlong_and_surrogate_encodings_are_replaced(subject: &Subject) {
    // An overlong line feed, an overlong slash, a surrogate, a value above Unicode's range, the
    // beginning of a character.
    for bytes in [&b"\xc0\x8a"[..], b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"] {
        let line = logged(subject, &[b"a", bytes, b"z"].concat());
        let inner = line.strip_prefix('a').and_then(|line| line.strip_suffix('z'));
        assert!(inner.is_some_and(|inner| inner.chars().all(|c| c == '\u{fffd}')), "{bytes:?}: {line:?}");
    }
}

fn a_character_across_the_limit_is_left_out(subject: &Subject) {
    // 4,094 bytes, then a character of four.
    let line = logged(subject, format!("{}\u{1f600}{}", "x".repeat(4094), "y".repeat(50)).as_bytes());
    let rest = line.strip_prefix(&"x".repeat(4094)).expect("the line up to the character");
    assert!(!rest.is_empty() && !rest.contains(['y', '\u{fffd}', '\u{1f600}']), "{rest:?}");
}

fn an_error_text_keeps_its_characters_as_they_are(subject: &Subject) {
    // The error is data for the caller, as the guest wrote it. Only the log is for a terminal.
    let host = subject.host(Guest::new(
        "(func $run (param $op i32) (param $msg i32) (result i32)
           (call $guest_request (i32.const 512) (i32.const 1024))
           (call $fail (i32.const 1024) (local.get $msg)))",
    ));
    for text in ["\u{1b}[31mred\u{7}", "two\nlines\0", "\u{202e}reversed", ""] {
        let error = host.fails("run", text.as_bytes(), Failure::GUEST_FAILED);
        assert_eq!(error.guest_error(), Some(text));
    }
}

fn an_operation_of_the_caller_is_not_the_guests_to_change(subject: &Subject) {
    // The line carries the operation that the caller named, whatever the guest does to its copy.
    let log = Log::default();
    let host = subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (call $guest_request (i32.const 0) (i32.const 512))
                 (memory.fill (i32.const 0) (i32.const 120) (i32.const 64))
                 (call $console_log (i32.const 0) (i32.const 1))
                 (call $answer (i32.const 0) (i32.const 0)))"#,
        )
        .log(&log),
    );
    host.answer("transfer", b"");
    let lines = log.take();
    assert_eq!((lines.len(), lines[0].operation.as_str(), lines[0].text.as_str()), (1, "transfer", "x"));
}
