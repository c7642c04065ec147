//! `antiphon test`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{MODES, Run, Wat, command, guest, here, repository, run};

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
        ("[[case]]\noperation = 'x'\nanwser = ''", "at line 3, column 1"),
        ("[[case]]\noperation = 'x'\nanwser = ''", "did you mean `answer`?"),
        (
            "[[case]]\noperation = 'x'\nerror = { kind = 'guest_fail' }",
            "unknown kind `guest_fail`, expected one of `guest_failed`",
        ),
        ("[[case]]\noperation = 'x'\nerror = { kind = 'guest_fail' }", "at line 3, column "),
        ("[[case]]\noperation = 'x'\nerror = { kind = 'guest_fail' }", "did you mean `guest_failed`?"),
        ("[[case]]\noperation = 'x'\npayload = { msgpak = 1 }", "at line 3, column "),
        ("[[case]]\noperation = 'x'\npayload = { msgpak = 1 }", "did you mean `msgpack`?"),
        ("[[case]]\noperation = 'x'\n[[case.host]]\ncal = '*'", "did you mean `call`?"),
        ("[[case]]\noperation = 'x'\npayload = { file = 'none' }", "none is not there"),
        (
            "[[case]]\noperation = 'x'\nanswer = ''\nerror = { kind = 'trapped' }",
            "an answer or an error, not both",
        ),
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
fn results_come_as_the_cases_end() {
    use std::io::{BufRead, BufReader};

    let endless = Wat::guest(
        "",
        "(if (local.get $msg_len) (then (loop $forever (br $forever)))) (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)",
    );
    let (_dir, path) = file(
        "[[case]]\noperation = 'first'\nanswer = ''\n[[case]]\noperation = 'second'\npayload = 'x'\nerror = { kind = 'deadline_exceeded' }\n",
    );
    let module = endless.path();
    let arguments = ["test", module.to_str().unwrap(), "--cases", path.to_str().unwrap(), "--deadline", "3s"];
    let mut child = command(arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "ok    first");
    assert_eq!(child.try_wait().unwrap(), None, "the second case runs");
    assert_eq!(lines.collect::<Vec<_>>(), ["ok    second", "2 passed, 0 failed"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_filter_leaves_the_other_cases_out() {
    let (_dir, path) = file(WRONG);
    let run = test("c.wasm", &path, &["--filter", "gree", "--filter", "none"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.text().starts_with("FAIL  greets\n") && run.text().contains("\nFAIL  <none>\n"),
        "{}",
        run.text()
    );
    assert!(run.text().ends_with("\n0 passed, 2 failed, 2 left out\n"), "{}", run.text());
    let refused = test("c.wasm", &path, &["--filter", "tea"]).failed(2);
    assert!(refused.stderr.starts_with("error: --filter selects nothing"), "{}", refused.stderr);
    // Only the case that ran is updated.
    assert_eq!(test("c.wasm", &path, &["--filter", "greets", "--update"]).code, Some(0));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        WRONG.replace("{ text = \"Hello, Ada!\", length = 12 }", "{ length = 11, text = \"Hello, Ada!\" }")
    );
}

#[test]
fn the_log_is_compared_line_by_line_where_a_case_states_it() {
    let (_dir, path) = file(
        "[[case]]\nname = 'right'\noperation = 'log'\npayload = 'one\\n two'\nanswer = ''\nlog = ['one\\n two']\n\
         [[case]]\nname = 'wrong'\noperation = 'log'\npayload = 'one'\nanswer = ''\nlog = ['none', 'at all']\n",
    );
    for mode in MODES {
        let run = test("c.wasm", &path, &["--mode", mode]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert_eq!(
            run.text(),
            "ok    right\nFAIL  wrong\n      -log: none\n      -log: at all\n      +log: one\n1 passed, 1 failed\n"
        );
    }
    assert_eq!(test("c.wasm", &path, &["--update"]).code, Some(0));
    assert!(fs::read_to_string(&path).unwrap().ends_with("log = [\"one\"]\n"));
    assert_eq!(test("c.wasm", &path, &[]).code, Some(0));
}

#[test]
fn what_became_of_host_calls_is_noted() {
    let (dir, path) = file(
        r#"[[case]]
operation = "host"
payload = { msgpack = { a = 1 } }
answer = ""
[[case.host]]
call = "binding/sample/echo"
payload = { msgpack = { a = 2 } }
answer = ""
[[case.host]]
call = 'x/y\/z/*'
answer = ""
"#,
    );
    let report = dir.path().join("report.xml");
    let run = test("c.wasm", &path, &["--junit", report.to_str().unwrap()]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    for note in [
        "no host call used the answer to binding/sample/echo\n",
        "no host call used the answer to x/y/z/*\n",
        "host call binding/sample/echo refused; its payload: {\"a\":1}\n",
    ] {
        assert!(run.text().contains(&format!("\n      note: {note}")), "{note}: {}", run.text());
    }
    let report = fs::read_to_string(report).unwrap();
    assert!(
        report.contains("<system-out>no host call used the answer to binding/sample/echo&#10;"),
        "{report}"
    );
}

#[test]
fn payloads_and_answers_come_from_files_beside_the_cases() {
    let (dir, path) = file(
        "[[case]]\noperation = 'echo'\npayload = { file = 'in/bytes' }\nanswer = { file = 'out' } # kept\n\
         [[case]]\noperation = 'host'\nanswer = { file = 'in/bytes' }\n[[case.host]]\ncall = '*'\nanswer = { file = 'in/bytes' }\n",
    );
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("in/bytes"), b"\xff\x00").unwrap();
    let run = test("c.wasm", &path, &[]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.text().contains("out is not there)\n      +ff 00\n"), "{}", run.text());
    let before = fs::read_to_string(&path).unwrap();
    assert_eq!(test("c.wasm", &path, &["--update"]).code, Some(0));
    assert_eq!(fs::read(dir.path().join("out")).unwrap(), b"\xff\x00");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert_eq!(test("c.wasm", &path, &[]).code, Some(0));
}

#[test]
fn a_case_gets_the_world_and_the_limits_that_are_given() {
    let world = Wat::guest(
        r#"(import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#,
        "(if (local.get $msg_len) (then (drop (call $random (i32.const 1000) (i32.const 4))))
            (else (drop (call $get (i32.const 100) (i32.const 1000)))))
        (call $respond (i32.const 1000) (i32.const 4)) (i32.const 1)",
    );
    let module = world.path();
    let test = |cases: &Path, more: &[&str]| {
        run([&["test", module.to_str().unwrap(), "--cases", cases.to_str().unwrap()], more].concat())
    };
    let (_dir, variable) = file("[[case]]\noperation = 'x'\nanswer = \"A=b\\u0000\"\n");
    let (_dir, random) = file("[[case]]\noperation = 'x'\npayload = 'random'\n");
    let (_dir, fuel) = file("[[case]]\noperation = 'x'\nerror = { kind = 'out_of_fuel' }\n");
    assert_eq!(test(&variable, &[]).code, Some(1));
    assert_eq!(test(&variable, &["--no-wasi"]).code, Some(4));
    assert_eq!(test(&random, &["--deterministic", "7", "--update"]).code, Some(0));
    for mode in MODES {
        for engine in here() {
            let all = |more: &[&'static str]| [more, &["--mode", mode, "--engine", engine]].concat();
            assert_eq!(test(&variable, &all(&["--env", "A=b"])).code, Some(0));
            assert_eq!(test(&random, &all(&["--deterministic", "7"])).code, Some(0));
            assert_eq!(test(&random, &all(&["--deterministic", "8"])).code, Some(1));
            assert_eq!(test(&fuel, &all(&["--fuel", "1"])).code, Some(0));
        }
    }
}

#[test]
fn a_report_that_cannot_be_written_costs_no_result() {
    let (dir, path) = file(WRONG);
    let nowhere = dir.path().join("no/such/report.xml");
    let junit = ["--junit", nowhere.to_str().unwrap()];
    let run = test("c.wasm", &path, &junit);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.starts_with(&format!("error: cannot write {}", nowhere.display())), "{}", run.stderr);
    assert!(run.text().ends_with("\n0 passed, 4 failed\n"), "{}", run.text());
    let run = test("c.wasm", &path, &[&junit[..], &["--update"]].concat());
    assert_eq!(run.code, Some(2));
    assert!(run.text().ends_with("\n4 updated\n"), "{}", run.text());
    assert_eq!(fs::read_to_string(&path).unwrap(), RIGHT);
}

#[test]
fn a_number_is_not_compared_as_the_nearest_that_a_float_can_hold() {
    let (_dir, path) = file(
        "[[case]]\noperation = 'echo'\npayload = '18446744073709551616'\nanswer = { json = 18446744073709551616.0 }\n",
    );
    assert_eq!(test("c.wasm", &path, &[]).code, Some(1));
    // TOML's integers are signed, so the upper half of the unsigned range cannot be written.
    let (_dir, path) = file("[[case]]\noperation = 'echo'\npayload = { msgpack = [9223372036854775808] }\n");
    test("c.wasm", &path, &[]).failed(2);
}

#[test]
fn what_messagepack_has_and_json_lacks_is_compared_and_accepted() {
    let (_dir, path) = file(
        r#"[[case]]
operation = "echo"
payload = { msgpack = { "$map" = [[1, { "$bin_base64" = "AP8=" }], [true, { "$ext" = [5, "AQI="] }]] } }
answer = { msgpack = { "$map" = [[true, { "$ext" = [5, "AQI="] }], [1, { "$bin_base64" = "AP8=" }]] } }

[[case]]
name = "empty"
operation = "log"
payload = "x"
answer = { msgpack = { "$empty" = true } }

[[case]]
operation = "host"
payload = ""
answer = { hex = "" }
[[case.host]]
call = 'binding/sample/ec\\*ho'
answer = "no"
[[case.host]]
call = "*"
answer = { msgpack = { "$bin_text" = "hi" } }
"#,
    );
    let run = test("c.wasm", &path, &["--update"]);
    assert_eq!(run.code, Some(0), "{}{}", run.text(), run.stderr);
    assert!(run.text().ends_with("1 updated\n"), "{}", run.text());
    assert!(fs::read_to_string(&path).unwrap().contains("answer = { hex = \"c4 02 68 69\" }"));
    assert_eq!(test("c.wasm", &path, &[]).code, Some(0));
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
