//! `antiphon test`, and the values of `antiphon call --json`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{MODES, Run, call, guest, here, repository, run};

const WRONG: &str = r#"# kept
[[case]]
operation = "echo"   # kept, too
payload = "a"
answer = "b"         # and this

[[case]]
name = "greets"
operation = "greet"
payload = { msgpack = { name = "Ada", count = 1 } }
answer = { msgpack = { text = "Hello, Ada!", length = 12 } }

[[case]]
operation = "fail"
payload = "no tea"
answer = ""

[[case]]
name = "<none>"
operation = "nope"
"#;

const RIGHT: &str = r#"# kept
[[case]]
operation = "echo"   # kept, too
payload = "a"
answer = "a"         # and this

[[case]]
name = "greets"
operation = "greet"
payload = { msgpack = { name = "Ada", count = 1 } }
answer = { msgpack = { length = 11, text = "Hello, Ada!" } }

[[case]]
operation = "fail"
payload = "no tea"
error = { kind = "guest_failed", text = "the guest refused: no tea" }

[[case]]
name = "<none>"
operation = "nope"
error = { kind = "guest_failed", text = "No handler registered for function nope" }
"#;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cases.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn test(name: &str, cases: &Path, more: &[&str]) -> Run {
    let module = guest(name);
    let all = ["test", module.to_str().unwrap(), "--cases", cases.to_str().unwrap()];
    run([&all, more].concat())
}

#[test]
fn the_guests_pass_their_own_cases_on_every_engine_in_both_modes() {
    for (module, folder) in [
        ("c.wasm", "c"),
        ("go.wasm", "go"),
        ("zig.wasm", "zig"),
        ("assemblyscript.wasm", "assemblyscript"),
        ("rust-antiphon.wasm", "rust/antiphon"),
    ] {
        let cases = repository().join("guests").join(folder).join("cases.toml");
        for engine in here() {
            for mode in MODES {
                let run = test(module, &cases, &["--engine", engine, "--mode", mode]);
                assert_eq!(run.code, Some(0), "{module} on {engine}: {}{}", run.text(), run.stderr);
                assert!(run.text().ends_with(" passed, 0 failed\n"), "{}", run.text());
            }
        }
    }
}

#[test]
fn what_is_different_is_shown_and_accepted_where_asked_to() {
    let (dir, path) = file(WRONG);
    let report = dir.path().join("report.xml");
    let failed = test("c.wasm", &path, &["--junit", report.to_str().unwrap()]);
    assert_eq!((failed.code, failed.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        failed.text(),
        "FAIL  echo\n      -b\n      +a\n\
         FAIL  greets\n       {\n      -  \"length\": 12,\n      +  \"length\": 11,\n         \"text\": \"Hello, Ada!\"\n       }\n\
         FAIL  fail\n      +error kind: guest_failed\n      +error text: the guest refused: no tea\n\
         FAIL  <none>\n      +error kind: guest_failed\n      +error text: No handler registered for function nope\n\
       \x20      the case states neither an answer nor an error; `--update` writes the actual outcome\n\
         0 passed, 4 failed\n"
    );
    let report = fs::read_to_string(report).unwrap();
    assert!(
        report.contains("tests=\"4\" failures=\"4\"") && report.contains("name=\"&lt;none&gt;\""),
        "{report}"
    );
    assert!(report.contains("<failure message=\"not as expected\">-b&#10;+a</failure>"), "{report}");
    assert_eq!(fs::read_to_string(&path).unwrap(), WRONG);

    let updated = test("c.wasm", &path, &["--update"]);
    assert_eq!(updated.code, Some(0));
    assert!(updated.text().ends_with("4 updated\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), RIGHT);
    assert_eq!(test("c.wasm", &path, &[]).code, Some(0));
}

#[test]
fn what_is_no_file_of_cases_is_wrong_usage() {
    for (text, reason) in [
        ("", "missing field `case`"),
        ("case = []", "no [[case]]"),
        ("[[case]]\noperation = 'x'\nextra = 1", "unknown field `extra`"),
        ("[[case]]\noperation = 'x'\nanswer = ''\nerror = { kind = 'x' }", "an answer or an error, not both"),
        ("[[case]]\noperation = 'x'\nerror = {}", "a kind, a text, or both"),
        ("[[case]]\noperation = 'x'\nanswer = { hex = '0' }", "even number"),
        ("[[case]]\noperation = 'x'\n[[case.host]]\ncall = '*'", "an answer or an error, not both"),
        ("[[case]]\noperation = 'x'\n[[case.host]]\ncall = 'a'\nanswer = ''", "BINDING/NAMESPACE/OPERATION"),
    ] {
        let (_dir, path) = file(text);
        let refused = test("c.wasm", &path, &[]).failed(2);
        assert!(refused.stderr.contains(reason), "{text}: {}", refused.stderr);
    }
    let (_dir, path) = file("[[case]]\noperation = 'x'\n");
    test("none.wasm", &path, &[]).failed(2);
    test("manifest.toml", &path, &[]).failed(4);
}

#[test]
fn a_host_call_is_answered_only_where_its_payload_is_the_one_expected() {
    let (_dir, path) = file(
        "[[case]]\noperation = 'host'\npayload = 'other'\nerror = { kind = 'guest_failed', text = 'host call \
         binding/sample/echo refused: no [[case.host]] matches it and its payload' }\n[[case.host]]\ncall = \
         '*'\npayload = 'ping'\nanswer = 'pong'\n",
    );
    assert_eq!(test("c.wasm", &path, &[]).code, Some(0));
}

#[test]
fn a_person_calls_with_json_and_reads_json() {
    for mode in MODES {
        let greet = ["greet", "--json", r#"{"name":"Ada","count":1}"#];
        call(mode, "c.wasm", &greet).answered("{\n  \"length\": 11,\n  \"text\": \"Hello, Ada!\"\n}\n");
        call(mode, "c.wasm", &["echo", "--json", "[1.5]", "--codec", "json"]).answered("[\n  1.5\n]\n");
        call(mode, "c.wasm", &["echo", "--json", "[1"]).failed(2);
        call(mode, "c.wasm", &["echo", "x", "--json", "1"]).failed(2);
        call(mode, "c.wasm", &["echo", "x", "--codec", "json"]).failed(2);
        // The guest answers no bytes, which is not a value. The call itself succeeds, so the fault
        // is the guest's.
        let none = call(mode, "c.wasm", &["log", "--json", "1", "--error-format", "json"]).failed(3);
        let error = none.error();
        assert_eq!((&error["code"], &error["fault"]), (&"answer_unreadable".into(), &"guest".into()));
        assert_eq!(error["fate"], "kept");
        assert_eq!(
            error["message"],
            "the guest's answer is not valid msgpack; call without --json to see its bytes"
        );
        assert_eq!(
            error["chain"][0],
            "msgpack not decoded: at byte 0: the input ends, expected 1 bytes more, found 0"
        );
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
fn a_number_of_an_answer_that_json_does_not_hold_makes_it_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let nan = dir.path().join("nan");
    fs::write(&nan, b"\x81\xa1a\xca\x7f\xc0\x00\x00").unwrap();
    for (codec, answer, reason) in [
        (
            "json",
            "*=[18446744073709551616]".to_owned(),
            "at byte 1: the integer 18446744073709551616 is not from",
        ),
        ("msgpack", format!("*=@{}", nan.display()), "in field a: NaN is not a number in JSON"),
    ] {
        let arguments =
            ["host", "--json", "1", "--codec", codec, "--host-call", &answer, "--error-format", "json"];
        let error = call("sync", "c.wasm", &arguments).failed(3).error();
        assert_eq!(error["code"], "answer_unreadable");
        assert!(error["chain"][0].as_str().unwrap().contains(reason), "{error}");
    }
    // Nor is it compared as the nearest number that a float can hold.
    let (_dir, path) = file(
        "[[case]]\noperation = 'echo'\npayload = '18446744073709551616'\nanswer = { json = 18446744073709551616.0 }\n",
    );
    assert_eq!(test("c.wasm", &path, &[]).code, Some(1));
    // TOML's integers are signed, so the upper half of the unsigned range cannot be written.
    let (_dir, path) = file("[[case]]\noperation = 'echo'\npayload = { msgpack = [9223372036854775808] }\n");
    test("c.wasm", &path, &[]).failed(2);
}

#[cfg(target_os = "linux")]
#[test]
fn an_update_that_ends_half_way_leaves_the_file_as_it_was() {
    use std::process::Command;

    let wrong = format!("# {}\n{WRONG}", "long ".repeat(400_000));
    let (dir, path) = file(&wrong);
    // Depending on the shell's unit of blocks, no file may grow beyond half a mebibyte or one. That
    // is enough for what engines keep in memory-backed files. Beyond it the system refuses the
    // write, and sends a signal that would end the program if it were not caught.
    for signal in ["DFL", "IGN"] {
        let script = format!(
            "{} ulimit -f 1024; exec \"$0\" test \"$1\" --cases \"$2\" --update --no-cache",
            if signal == "IGN" { "trap '' XFSZ;" } else { "" }
        );
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_antiphon")])
            .args([guest("c.wasm").as_os_str(), path.as_os_str()])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{signal}: {errors}");
        assert!(fs::read_to_string(&path).unwrap() == wrong, "{signal}: the file is another one");
        assert!(errors.starts_with(&format!("error: cannot update {}", path.display())), "{errors}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{signal}: something is left");
    }
}
