//! The log: text that guests write for humans.

use antiphon::{Limits, LogStream};

use crate::suite::{Case, Guest, Line, Log, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(log::a_line_comes_with_its_host_and_operation),
    case!(log::bytes_that_are_not_utf8_and_control_characters_are_made_harmless),
    case!(log::a_line_over_its_limit_is_cut_and_marked),
    case!(log::a_flood_is_dropped_and_the_guest_lives),
    case!(log::a_flood_of_empty_lines_ends_too),
    case!(log::the_start_of_a_guest_may_log),
    case!(log::without_a_sink_logging_is_harmless),
    case!(log::a_sink_that_panics_costs_the_instance),
];

/// Logs its payload once, or as many times as the operation's length less three.
const LOGGER: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (call $guest_request (i32.const 512) (i32.const 1024))
    (local.set $op (i32.sub (local.get $op) (i32.const 3)))
    (loop $next
      (call $console_log (i32.const 1024) (local.get $msg))
      (local.set $op (i32.sub (local.get $op) (i32.const 1)))
      (br_if $next (i32.gt_s (local.get $op) (i32.const 0))))
    (call $answer (i32.const 0) (i32.const 0)))
"#;

fn a_line_comes_with_its_host_and_operation(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(Guest::new(LOGGER).log(&log));
    host.answer("log", "a line with é and \t tab".as_bytes());
    let (operation, stream) = ("log".to_owned(), LogStream::Console);
    let text = "a line with é and \t tab".to_owned();
    assert_eq!(log.take(), [Line { host_id: host.id(), operation, stream, text }]);
    host.counted(2);
}

fn bytes_that_are_not_utf8_and_control_characters_are_made_harmless(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(Guest::new(LOGGER).log(&log));
    host.answer("log", b"a\xff\xc3z");
    assert_eq!(log.texts(), ["a\u{fffd}\u{fffd}z"]);
    host.answer("log", "\u{1b}[2Jred\r\nfake line\0 \u{9b}x \u{202e}evil\u{2028}".as_bytes());
    let [text] = <[String; 1]>::try_from(log.texts()).unwrap();
    says(&text, &["[2Jred", "fake line", "evil"]);
    let harmful = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
    assert!(!text.contains(harmful), "{text:?}");
}

fn a_line_over_its_limit_is_cut_and_marked(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(Guest::new(LOGGER).log(&log));
    host.answer("log", &[b'x'; 4096]);
    assert_eq!(log.texts(), ["x".repeat(4096)]);
    host.answer("log", &[b'x'; 4097]);
    let [text] = <[String; 1]>::try_from(log.texts()).unwrap();
    assert!(
        text.starts_with(&"x".repeat(4096)) && !text.starts_with(&"x".repeat(4097)),
        "{} bytes",
        text.len()
    );
    assert!(text.len() > 4096, "not marked");
}

fn a_flood_is_dropped_and_the_guest_lives(subject: &Subject) {
    let log = Log::default();
    let host = subject.host(Guest::new(LOGGER).log(&log));
    // 100 lines of 1,000 bytes, of which 65 fit into the budget of 64 KiB.
    let many = "x".repeat(103);
    for _ in 0..2 {
        host.answer(&many, &[b'x'; 1000]);
        assert_eq!(log.take().len(), 65, "the budget is one call's");
    }
    host.counted(3);

    let host = subject.host(Guest::new(LOGGER).log(&log).limits(Limits::new().log(0)));
    host.answer("log", b"nobody hears");
    assert_eq!(log.texts(), [""; 0]);
}

fn a_flood_of_empty_lines_ends_too(subject: &Subject) {
    let log = Log::default();
    let limits = Limits::new().log(1000);
    let host = subject.host(Guest::new(LOGGER).log(&log).limits(limits));
    host.answer(&"x".repeat(1003), b"");
    let lines = log.take().len();
    assert!((1..1000).contains(&lines), "{lines} of 1,000 empty lines");
}

fn the_start_of_a_guest_may_log(subject: &Subject) {
    let log = Log::default();
    subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32) (i32.const 1))
               (func (export "wapc_init") (call $console_log (i32.const 0) (i32.const 7)))
               (data (i32.const 0) "morning")"#,
        )
        .log(&log),
    );
    let lines = log.take();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].operation.as_str(), lines[0].text.as_str()), ("", "morning"));
}

fn without_a_sink_logging_is_harmless(subject: &Subject) {
    let host = subject.host(Guest::new(LOGGER));
    host.answer("log", b"to the tracing subscriber, if there is one");
    host.answer(&"x".repeat(200), &[b'x'; 4000]);
    host.counted(3);
    host.fails("log", &vec![b'x'; 5 << 20], Failure::REQUEST_TOO_LARGE);
}

fn a_sink_that_panics_costs_the_instance(subject: &Subject) {
    let host = subject.host(Guest::new(LOGGER).log(&Log::panicking()));
    says(host.fails("log", b"jam", Failure::HOST_PANICKED), &["out of paper"]);
}
