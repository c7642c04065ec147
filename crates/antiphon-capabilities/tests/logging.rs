//! The namespace `logging`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon::Context;
use antiphon_capabilities::{Backends, CallInfo, Level};
use common::{ask, host, host_async};
use serde_json::{Value, json};

/// Keeps the lines of guests.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

type Line = (Level, String, String, CallInfo);

impl Lines {
    fn backends(&self) -> Backends {
        let lines = self.clone();
        Backends::new().log(move |line| {
            let line = (line.level, line.message.into(), line.fields.into(), line.call.clone());
            lines.0.lock().unwrap().push(line);
        })
    }

    fn messages(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, message, ..)| message.clone()).collect()
    }
}

fn line(level: &str, message: &str) -> Value {
    json!({"level": level, "message": message})
}

#[tokio::test]
async fn a_line_has_a_level_fields_and_its_call() {
    let lines = Lines::default();
    let host = host_async("[[grant]]\nlogging = { level = 'debug' }", &lines.backends()).await;
    let info = CallInfo::new("shop", "quote").trace("4bf9");
    let payload = json!({
        "level": "warn",
        "message": "slow\u{1b}[31m\nline",
        "fields": {"a": 1, "b": -2, "c": 0.5, "d": true, "e": null, "f\n": "\u{202e}\u{9b}x\n"},
    });
    let said =
        ask("logging", "log").of_async(&host, Context::new().with(info.clone()), payload.to_string()).await;
    assert_eq!(said.unwrap(), b"{}");
    // MessagePack, with an integer and a text as fields.
    let packed = b"\x83\xa5level\xa5debug\xa7message\xa1m\xa6fields\x82\xa1a\xff\xa1b\xa1x";
    let packed: Vec<u8> = packed.iter().map(|byte| if *byte == 0xff { 0xd0 } else { *byte }).collect();
    // -1 is written in two bytes, because the test guest splits its payload at 0xff.
    let at = packed.iter().position(|byte| *byte == 0xd0).unwrap();
    let packed = [&packed[..=at], &[0xfe], &packed[at + 1..]].concat();
    let said = ask("logging", "log").of_async(&host, Context::new(), packed).await;
    assert_eq!(said.unwrap(), b"\x80");

    let logged = lines.0.lock().unwrap().clone();
    let fields = r#"{"a":1,"b":-2,"c":0.5,"d":true,"e":null,"f\n":"\u202e\u009bx\n"}"#;
    assert_eq!(logged[0], (Level::Warn, "slow\\u{1b}[31m\\nline".into(), fields.into(), info));
    assert_eq!(logged[1], (Level::Debug, "m".into(), r#"{"a":-2,"b":"x"}"#.into(), CallInfo::default()));
}

#[test]
fn lines_below_the_level_are_not_logged() {
    let lines = Lines::default();
    let host = host("[[grant]]\nlogging = {}", &lines.backends());
    for level in ["trace", "debug", "info", "warn", "error"] {
        assert_eq!(ask("logging", "log").json(&host, line(level, level)), Ok(json!({})));
    }
    assert_eq!(lines.messages(), ["info", "warn", "error"]);
}

#[test]
fn lines_are_bounded_and_what_is_none_is_refused() {
    let lines = Lines::default();
    let host = host("[[grant]]\nlogging = {}", &lines.backends());
    ask("logging", "log").json(&host, line("info", &"é\n".repeat(10_000))).unwrap();
    let message = lines.messages().remove(0);
    assert!(message.len() <= 8192 + 9 && message.len() > 8180, "{}", message.len());
    assert!(message.ends_with("... (cut)") && !message.contains('\n'));

    let many: serde_json::Map<_, _> = (0..33).map(|n| (n.to_string(), json!(n))).collect();
    for (payload, expected) in [
        (
            json!({"level": "info", "message": "m", "fields": many}),
            "too_large: a line has at most 32 fields; this one has 33",
        ),
        (
            json!({"level": "info", "message": "m", "fields": {"k": "x".repeat(8192)}}),
            "too_large: the fields of a line have at most 8192 bytes in JSON, these have 8200",
        ),
        (
            json!({"level": "info", "message": "m", "fields": {"k": [1]}}),
            "invalid_request: json not decoded: at byte ",
        ),
        (json!({"level": "fatal", "message": "m"}), "invalid_request: json not decoded: at byte "),
        (
            json!({"level": "info", "message": "m", "target": "x"}),
            "invalid_request: json not decoded: at byte ",
        ),
        (json!({"level": "info"}), "invalid_request: json not decoded: at byte "),
    ] {
        let text = ask("logging", "log").json(&host, payload).unwrap_err();
        assert!(text.starts_with(expected), "{text}\nis not {expected}");
    }
    assert_eq!(lines.messages().len(), 1);
}

#[test]
fn a_flood_is_dropped_and_counted_once() {
    let lines = Lines::default();
    let host = host("[[grant]]\nlogging = { max_lines_per_second = 5 }", &lines.backends());
    ask("logging", "log").times(300).json(&host, line("info", "flood")).unwrap();
    let logged = lines.messages().iter().filter(|message| *message == "flood").count();
    assert!((5..100).contains(&logged), "{logged} lines");
    std::thread::sleep(Duration::from_millis(1100));
    for _ in 0..2 {
        ask("logging", "log").json(&host, line("info", "after")).unwrap();
    }
    let messages = lines.messages();
    // Each drop was reported once, with the line that came next.
    let reported: usize = messages
        .iter()
        .filter_map(|message| {
            message.strip_suffix(" log lines over max_lines_per_second were dropped")?.parse::<usize>().ok()
        })
        .sum();
    assert_eq!(logged + reported, 300, "{messages:?}");
    assert_eq!(messages[messages.len() - 2..], ["after", "after"]);
    let last = messages.len() - 3;
    assert!(messages[last].ends_with("were dropped"), "{messages:?}");
}

#[test]
fn without_a_sink_lines_go_to_tracing() {
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    #[derive(Clone, Default)]
    struct Events(Arc<Mutex<Vec<String>>>);

    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }

    impl Subscriber for Events {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "antiphon::guest"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut text = Text(event.metadata().level().to_string());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    let events = Events::default();
    let host = host("[[grant]]\nlogging = { level = 'trace' }", &Backends::new());
    tracing::subscriber::with_default(events.clone(), || {
        for level in ["trace", "debug", "info", "warn"] {
            ask("logging", "log").json(&host, line(level, "m")).unwrap();
        }
        let payload = json!({"level": "error", "message": "m", "fields": {"a": 1}});
        let info = CallInfo::new("shop", "quote").trace("4bf9");
        let request = format!("1\u{0}\u{0}logging\u{0}log\u{0}{payload}").into_bytes();
        let request: Vec<u8> = request.iter().map(|byte| if *byte == 0 { 0xff } else { *byte }).collect();
        let request = antiphon::Request::new("ask", request).context(Context::new().with(info));
        host.call_with(request).unwrap();
    });
    let id = host.id();
    let mut expected: Vec<_> = ["TRACE", "DEBUG", "INFO", "WARN"]
        .iter()
        .map(|level| format!("{level} message=m host={id}"))
        .collect();
    expected.push(format!(
        "ERROR message=m host={id} module=\"shop\" operation=\"quote\" trace=\"4bf9\" fields=\"{{\\\"a\\\":1}}\""
    ));
    assert_eq!(*events.0.lock().unwrap(), expected);
}
