//! `antiphon test`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{MODES, Run, guest, here, repository, run};

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
    // is enough for what engines keep in memory-backed files. Beyond it the system ends the
    // program, or refuses the write.
    for (signal, code) in [("DFL", None), ("IGN", Some(2))] {
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
        assert_eq!(output.status.code(), code, "{errors}");
        assert!(fs::read_to_string(&path).unwrap() == wrong, "{signal}: the file is another one");
        if code.is_some() {
            assert!(errors.starts_with(&format!("error: cannot update {}", path.display())), "{errors}");
            assert_eq!(
                fs::read_dir(dir.path()).unwrap().count(),
                2,
                "nothing is left but what the kill left"
            );
        }
    }
}
