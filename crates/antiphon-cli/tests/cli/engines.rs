//! Which engine runs a guest.

use serde_json::{Value, json};

use crate::program::{ENGINES, GUESTS, MODES, Run, Wat, call, call_path, command, guest, here, run};

#[test]
fn each_engine_answers_in_both_modes() {
    for engine in here() {
        for name in GUESTS {
            for mode in MODES {
                call(mode, name, &["echo", "hello", "--engine", engine]).answered("hello");
                let host = ["host", "hi", "--host-call", "*=back", "--engine", engine];
                call(mode, name, &host).answered("back");
                let error = ["fail", "no tea", "--error-format", "json", "--engine", engine];
                assert_eq!(
                    call(mode, name, &error).failed(1).error()["guest_error"],
                    "the guest refused: no tea"
                );
            }
        }
    }
}

#[test]
fn each_engine_ends_a_guest_at_its_deadline() {
    let wat = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    for engine in here() {
        for mode in MODES {
            let all =
                ["call", "--mode", mode, "--engine", engine, "--deadline", "50ms", "--error-format", "json"];
            let run = command(all).arg(wat.path()).arg("any").output().unwrap();
            let error = Run::from(run).failed(3).error();
            assert_eq!(error["code"], "deadline_exceeded", "{engine} {mode}: {error}");
        }
    }
}

#[test]
fn each_engine_counts_fuel() {
    let spins = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    for engine in here() {
        for mode in MODES {
            let fuel = |fuel| ["--engine", engine, "--fuel", fuel, "--error-format", "json"];
            let all = [["any"].as_slice(), &fuel("10")].concat();
            let error = call_path(mode, &spins.path(), &all).failed(3).error();
            assert_eq!(error["code"], "out_of_fuel", "{engine} {mode}: {error}");
            let all = [["echo", "hello"].as_slice(), &fuel("1_000_000")].concat();
            call(mode, "rust.wasm", &all).answered("hello");
        }
    }
}

#[test]
fn a_deterministic_run_has_the_clock_that_was_set() {
    let clock = Wat::guest(
        r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))"#,
        "(drop (call $time (i32.const 0) (i64.const 1) (i32.const 0)))
        (call $respond (i32.const 0) (i32.const 8)) (i32.const 1)",
    );
    for engine in here() {
        for mode in MODES {
            let at = |more: &[&str]| {
                let all = [&["any", "--engine", engine, "--deterministic", "7"], more].concat();
                call_path(mode, &clock.path(), &all)
            };
            at(&[]).answered([0; 8]);
            at(&["--clock", "1970-01-01T00:00:01Z"]).answered(1_000_000_000_u64.to_le_bytes());
        }
    }
}

#[test]
fn inspect_asks_the_engine_that_was_named_about_the_code() {
    let text = r#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) i64.const 1))"#;
    let wat = Wat::new(text);
    for engine in here() {
        let path = guest("rust.wasm");
        let good = run(["inspect", path.to_str().unwrap(), "--engine", engine]);
        assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""), "{engine}");
        let bad = run(["inspect", wat.path().to_str().unwrap(), "--engine", engine, "--json"]);
        let report: Value = serde_json::from_slice(&bad.stdout).unwrap();
        assert_eq!((bad.code, &report["wapc_guest"]), (Some(4), &json!(false)), "{engine}: {report}");
    }
}

#[test]
fn an_engine_that_does_not_exist_is_wrong_usage_in_every_command() {
    let path = guest("rust.wasm");
    let path = path.to_str().unwrap();
    for arguments in [["call", path, "echo"].as_slice(), &["compare", path, "echo"], &["inspect", path]] {
        let all = [arguments, &["--engine", "quantum"]].concat();
        let text = run(all).failed(2).stderr;
        assert!(text.contains("invalid value 'quantum' for '--engine <ENGINE>'"), "{text}");
        assert!(here().all(|engine| text.contains(engine)), "{text}");
    }
}

#[test]
fn an_engine_that_was_left_out_is_refused_with_what_to_do() {
    let path = guest("rust.wasm");
    let path = path.to_str().unwrap();
    for engine in ENGINES.iter().filter(|engine| here().all(|here| here != **engine)) {
        for arguments in [["call", path, "echo"].as_slice(), &["compare", path, "echo"], &["inspect", path]] {
            let all = [arguments, &["--engine", engine, "--error-format", "json"]].concat();
            let error = run(all).failed(2).error();
            assert_eq!(error["code"], "unsupported");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(&format!("built without the {engine} engine")), "{message}");
            assert!(message.contains(&format!("the feature `{engine}`")), "{message}");
        }
        assert!(!run(["call", "--help"]).text().contains(&format!("values: {engine}")));
    }
}

#[test]
fn directories_are_granted_on_every_engine() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "text").unwrap();
    // Answers the error number of an attempt to open the file for writing, as a character from `!`
    // on.
    let wat = Wat::new(
        r#"(module
        (import "wapc" "__guest_response" (func $respond (param i32 i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "file")
        (func (export "__guest_call") (param i32 i32) (result i32)
            (i32.store8 (i32.const 100) (i32.add (i32.const 33) (call $open (i32.const 3) (i32.const 0)
                (i32.const 0) (i32.const 4) (i32.const 0) (i64.const 0x40) (i64.const 0) (i32.const 0)
                (i32.const 200))))
            (call $respond (i32.const 100) (i32.const 1))
            (i32.const 1)))"#,
    );
    for engine in here() {
        for mode in MODES {
            // 63 is `EPERM`.
            for (kind, answer) in [("", "!"), (":ro", "`")] {
                let granted = format!("{}::/data{kind}", dir.path().display());
                let all = ["any", "--engine", engine, "--dir", &granted];
                assert_eq!(call_path(mode, &wat.path(), &all).text(), answer, "{engine} {mode} {kind}");
            }
        }
    }
}

#[test]
fn the_engines_are_listed_with_what_they_can_do() {
    let listed = run(["engines", "--format", "json"]);
    assert_eq!(listed.text(), run(["engines", "--json"]).text());
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let engines = report["engines"].as_array().unwrap();
    let names: Vec<_> = engines.iter().map(|engine| engine["name"].as_str().unwrap()).collect();
    assert_eq!(names, ENGINES);
    for engine in engines {
        let available = here().any(|here| engine["name"] == here);
        assert_eq!(engine["available"], available, "{engine}");
        let first = here().next().is_some_and(|here| engine["name"] == here);
        assert_eq!(engine["default"], first, "{engine}");
        // The capabilities that the project promises of every engine.
        for must in ["deadline", "deterministic", "fuel", "memory_limit", "suspend", "wasi", "stack_limit"] {
            let expected = if available { true.into() } else { Value::Null };
            assert_eq!(engine["capabilities"][must], expected, "{must}: {engine}");
        }
    }

    for engine in engines.iter().filter(|engine| engine["available"] == true) {
        assert_eq!(engine["capabilities"]["ahead_of_time"], engine["name"] == "wasmtime", "{engine}");
    }

    let text = run(["engines"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    let mut lines = text.text().lines();
    assert_eq!(lines.next().unwrap().split_whitespace().collect::<Vec<_>>(), ENGINES);
    let built = lines.next().unwrap();
    assert_eq!(built.matches("yes").count(), here().count(), "{built}");
    let capabilities = engines.iter().find_map(|engine| engine["capabilities"].as_object()).unwrap();
    assert_eq!(lines.count(), capabilities.len());
}
