//! Host calls and the rules that answer them.

use crate::program::{GUESTS, MODES, Wat, call, call_path};

#[test]
fn a_rule_answers_with_a_text_a_file_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer");
    std::fs::write(&file, b"from\xff a file").unwrap();
    let from_file = format!("binding/sample/echo=@{}", file.display());
    for name in GUESTS {
        for mode in MODES {
            let host = |rule: &str| call(mode, name, &["host", "hi", "--host-call", rule]);
            host("binding/sample/echo=hello back").answered("hello back");
            host("*=").answered("");
            host(&from_file).answered(b"from\xff a file");
            let run = host("binding/*/echo=!out of order").failed(1);
            assert!(run.stderr.contains("out of order"), "{name}: {}", run.stderr);
        }
    }
}

#[test]
fn the_first_rule_that_matches_answers() {
    for mode in MODES {
        let rules =
            ["other/*/*=1", "binding/sample/echo=2", "*=3"].map(|rule| ["--host-call", rule]).concat();
        call(mode, "rust.wasm", &[&["host", "hi"], rules.as_slice()].concat()).answered("2");
    }
}

#[test]
fn a_namespace_may_hold_a_slash() {
    // Calls binding/wasi:kv/store/get, whose namespace is wasi:kv/store, and answers what it gets.
    let fields = r#"
        (import "wapc" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "wapc" "__host_response_len" (func $len (result i32)))
        (import "wapc" "__host_response" (func $response (param i32)))
        (data (i32.const 0) "bindingwasi:kv/storeget")"#;
    let body = "(drop (call $call (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 13) (i32.const 20) (i32.const 3)
            (i32.const 0) (i32.const 0)))
        (call $response (i32.const 100)) (call $respond (i32.const 100) (call $len)) (i32.const 1)";
    let wat = Wat::guest(fields, body);
    for mode in MODES {
        for (rule, answer) in [
            (r"binding/wasi:kv\/store/get=one", "one"),
            (r"*/wasi:kv\/store/*=two", "two"),
            // Its namespace is wasi:kv, its operation store/get.
            ("binding/wasi:kv/store/get=three", "other"),
        ] {
            let rules = ["any", "--host-call", rule, "--host-call", "*=other"];
            call_path(mode, &wat.path(), &rules).answered(answer);
        }
        let refused = call_path(mode, &wat.path(), &["any", "--host-call", r"a/b\n/c=x"]).failed(2);
        assert!(refused.stderr.contains("a backslash stands before"), "{}", refused.stderr);
    }
}

#[test]
fn without_a_rule_a_host_call_is_refused_by_name() {
    let refusal = "host call binding/sample/echo refused: no --host-call rule matches it";
    for name in GUESTS {
        for mode in MODES {
            for rules in [[].as_slice(), &["--host-call", "a/b/c=x"]] {
                let run = call(mode, name, &[&["host", "hi"], rules].concat()).failed(1);
                assert!(run.stderr.contains(refusal), "{name}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn names_that_the_guest_makes_up_are_harmless_in_the_refusal() {
    // Makes a host call whose binding would clear the screen, then fails with the text of the
    // refusal.
    let fields = r#"
        (import "wapc" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "wapc" "__host_error_len" (func $len (result i32)))
        (import "wapc" "__host_error" (func $error (param i32)))
        (import "wapc" "__guest_error" (func $fail (param i32 i32)))
        (data (i32.const 0) "\1b[2J\nerror: x")"#;
    let zeros = "(i32.const 0) ".repeat(6);
    let body = format!(
        "(drop (call $call (i32.const 0) (i32.const 13) {zeros}))
        (call $error (i32.const 100)) (call $fail (i32.const 100) (call $len)) (i32.const 0)"
    );
    let wat = Wat::guest(fields, &body);
    for mode in MODES {
        let text = call_path(mode, &wat.path(), &["any"]).failed(1).stderr;
        assert!(text.contains("host call \\u{1b}[2J"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("\nerror"), "{text}");
    }
}
