//! Payloads and answers as values: `--json`.

use std::fs;

use serde_json::{Value, json};

use crate::program::{MODES, call, guest, run_with_input};

#[test]
fn a_person_calls_with_json_and_reads_json() {
    for mode in MODES {
        let greet = ["greet", "--json", r#"{"name":"Ada","count":1}"#];
        call(mode, "c.wasm", &greet).answered("{\n  \"length\": 11,\n  \"text\": \"Hello, Ada!\"\n}\n");
        call(mode, "c.wasm", &["echo", "--json", "[1.5]", "--codec", "json"]).answered("[\n  1.5\n]\n");
        call(mode, "c.wasm", &["echo", "--json", "[1"]).failed(2);
        call(mode, "c.wasm", &["echo", "x", "--json", "1"]).failed(2);
        let idle = call(mode, "c.wasm", &["echo", "x", "--codec", "json"]).failed(2);
        assert!(idle.stderr.starts_with("error: --codec has no effect"), "{}", idle.stderr);
        // The guest answers no bytes.
        call(mode, "c.wasm", &["log", "--json", "\"x\"", "--codec", "json"])
            .logged("{\n  \"$empty\": true\n}\n");
        let wrong = ["host", "--json", "1", "--host-call", "*=\u{1}\u{2}", "--error-format", "json"];
        let error = call(mode, "c.wasm", &wrong).failed(3).error();
        assert_eq!((&error["code"], &error["fault"]), (&"answer_unreadable".into(), &"guest".into()));
        assert_eq!(error["fate"], "kept");
        assert_eq!(
            error["message"],
            "the guest's answer is not valid msgpack; call without --json to see its bytes"
        );
        assert_eq!(error["chain"][0], "msgpack not decoded: at byte 1: 1 bytes follow the value");
        // Bytes of one codec are not always valid in the other.
        let other = call(mode, "c.wasm", &["greet", "--json", "1", "--codec", "json"]).failed(1);
        assert!(other.stderr.contains("greet wants"), "{}", other.stderr);
        let text = call(mode, "rust-antiphon.wasm", &["text/upper-case", "--json", "{}", "--codec", "json"]);
        text.answered("{}\n");
        let trailing = call(mode, "c.wasm", &["host", "--json", "1", "--host-call", "*=12"]).failed(3);
        assert!(
            trailing.stderr.contains("[answer_unreadable, fault: guest, instance: kept]"),
            "{}",
            trailing.stderr
        );
    }
}

#[test]
fn an_integer_of_more_than_64_bits_never_becomes_another_number() {
    const RANGE: &str = "is not from -9223372036854775808 to 18446744073709551615";
    for codec in ["msgpack", "json"] {
        let echo = |json: &str| call("sync", "c.wasm", &["echo", "--json", json, "--codec", codec]);
        for (json, integer) in [
            ("18446744073709551616", "18446744073709551616"),
            (r#"{"a": [true, {"b": -9223372036854775809}]}"#, "-9223372036854775809"),
        ] {
            let refused = echo(json).failed(2).stderr;
            assert!(refused.contains(&format!("the integer {integer} {RANGE}; append .0")), "{refused}");
        }
        for most in ["18446744073709551615", "-9223372036854775808"] {
            echo(most).answered(format!("{most}\n"));
        }
        echo("18446744073709551616.0").answered("1.8446744073709552e+19\n");
    }
}

#[test]
fn an_integer_of_an_answer_that_json_does_not_hold_makes_it_unreadable() {
    let answer = "*=[18446744073709551616]";
    let arguments =
        ["host", "--json", "1", "--codec", "json", "--host-call", answer, "--error-format", "json"];
    let error = call("sync", "c.wasm", &arguments).failed(3).error();
    assert_eq!(error["code"], "answer_unreadable");
    let reason = error["chain"][0].as_str().unwrap();
    assert!(reason.contains("at byte 1: the integer 18446744073709551616 is not from"), "{error}");
}

#[test]
fn what_messagepack_has_and_json_lacks_is_shown_with_a_mark() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer");
    let rule = format!("*=@{}", file.display());
    for (bytes, shown) in [
        (&b"\xc4\x02hi"[..], json!({ "$bin_text": "hi" })),
        (b"\x91\xc4\x02\x00\xff", json!([{ "$bin_base64": "AP8=" }])),
        (b"\x82\x01\xa1a\xff\xc0", json!({ "$map": [[-1, null], [1, "a"]] })),
        (b"\xd5\x05\x01\x02", json!({ "$ext": [5, "AQI="] })),
        (b"\x81\xa1a\xca\x7f\xc0\x00\x00", json!({ "a": { "$float": "NaN" } })),
        (b"", json!({ "$empty": true })),
    ] {
        fs::write(&file, bytes).unwrap();
        for mode in MODES {
            call(mode, "c.wasm", &["host", "--json", "1", "--host-call", &rule])
                .answered(format!("{shown:#}\n"));
            // What is shown may be given.
            let shown = shown.to_string();
            call(mode, "c.wasm", &["echo", "--json", &shown]).answered(format!("{:#}\n", parsed(&shown)));
            let rule = format!("*=json:{shown}");
            call(mode, "c.wasm", &["host", "x", "--host-call", &rule]).answered(once(bytes));
        }
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// Returns these bytes with what has more than one encoding in the one that the program writes.
fn once(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        b"\x82\x01\xa1a\xff\xc0" => b"\x82\xff\xc0\x01\xa1a".to_vec(),
        b"\x81\xa1a\xca\x7f\xc0\x00\x00" => b"\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00".to_vec(),
        bytes => bytes.to_vec(),
    }
}

#[test]
fn the_json_of_a_payload_comes_from_a_file_or_standard_input_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("payload.json");
    fs::write(&file, r#"{ "name": "Ada", "count": 1 }"#).unwrap();
    let greeting = "{\n  \"length\": 11,\n  \"text\": \"Hello, Ada!\"\n}\n";
    let of_file = format!("@{}", file.display());
    for mode in MODES {
        call(mode, "c.wasm", &["greet", "--json", &of_file]).answered(greeting);
        let module = guest("c.wasm");
        let arguments = ["call", "--mode", mode, module.to_str().unwrap(), "greet", "--json", "-"];
        run_with_input(&arguments, &fs::read(&file).unwrap()).answered(greeting);
        let refused = run_with_input(&arguments, b"{ name").failed(2);
        assert!(
            refused.stderr.starts_with(
                "error: cannot read the payload from standard input\n  caused by: not valid JSON: "
            ),
            "{}",
            refused.stderr
        );
    }
    let missing = call("sync", "c.wasm", &["greet", "--json", "@no/such.json"]).failed(2);
    assert!(
        missing.stderr.starts_with("error: cannot read the payload no/such.json\n"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_host_call_is_answered_with_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.json");
    fs::write(&file, "[1, 2]").unwrap();
    for mode in MODES {
        let host = |rule: &str, codec: &str| {
            call(mode, "c.wasm", &["host", "hi", "--host-call", rule, "--codec", codec])
        };
        host(r#"*=json:{"a":[1,true]}"#, "msgpack").answered(b"\x81\xa1a\x92\x01\xc3");
        host(r#"*=json:{"a":[1,true]}"#, "json").answered(r#"{"a":[1,true]}"#);
        host(&format!("*=json:@{}", file.display()), "msgpack").answered(b"\x92\x01\x02");
        call(mode, "c.wasm", &["host", "hi", "--host-call", "*=text:json:1"]).answered("json:1");
        let refused = host("*=json:{", "json").failed(2);
        assert!(refused.stderr.contains("not valid JSON"), "{}", refused.stderr);
    }
}
