//! Exit codes and error reports.

use serde_json::json;

use crate::program::{GUESTS, MODES, Wat, call, call_path, guest, run};

#[test]
fn a_failure_that_the_guest_reports_is_exit_code_1_with_its_text() {
    for name in GUESTS {
        for mode in MODES {
            let run = call(mode, name, &["fail", "no tea"]).failed(1);
            assert!(
                run.stderr.starts_with("error: Guest call failure: the guest refused: no tea"),
                "{name}: {}",
                run.stderr
            );
            assert!(!run.stderr.contains('\u{1b}'), "no colours but on a terminal");
        }
    }
}

#[test]
fn a_failure_in_json_has_every_field() {
    for mode in MODES {
        let run = call(mode, "rust.wasm", &["fail", "no tea", "--error-format", "json"]).failed(1);
        assert_eq!(run.stderr.lines().count(), 1);
        assert_eq!(
            run.error(),
            json!({
                "code": "guest_failed", "kind": "GuestFailed", "fault": "guest", "fate": "kept", "phase": null, "limit": null,
                "message": "the guest refused: no tea", "guest_error": "the guest refused: no tea",
                "exit_code": null, "chain": [], "backtrace": null,
            })
        );
    }
}

// Only with Wasmtime, because wasmi reports no frames.
#[cfg(feature = "wasmtime")]
#[test]
fn a_guest_that_panics_is_exit_code_3_with_its_frames() {
    for name in GUESTS {
        for mode in MODES {
            let error = call(mode, name, &["panic", "oh", "--error-format", "json"]).failed(3).error();
            assert_eq!((&error["code"], &error["fate"]), (&"trapped".into(), &"discarded".into()), "{error}");
            let frames = error["backtrace"].as_array().unwrap();
            assert!(!frames.is_empty() && frames.iter().all(|frame| frame.is_string()), "{error}");
        }
    }
    let error = call("sync", "assemblyscript.wasm", &["panic", "oh", "--error-format", "json"]).error();
    assert!(error["guest_error"].as_str().unwrap().contains("the guest panicked: oh"), "{error}");

    // The frames are shown once, although the engine repeats them in its message.
    let text = call("sync", "assemblyscript.wasm", &["panic", "oh"]).failed(3).stderr;
    assert_eq!(text.matches("wasm backtrace").count(), 1, "{text}");
    for part in
        ["error: Guest call failure: ", "\n  the guest said: ", "\n  wasm backtrace:\n    0: ", "[trapped, "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_guest_that_misbehaves_is_exit_code_3() {
    let wat = Wat::guest("", "i32.const 1");
    for mode in MODES {
        let error = call_path(mode, &wat.path(), &["any", "--error-format", "json"]).failed(3).error();
        assert_eq!(error["code"], "guest_misbehaved");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_in_either_format() {
    let wrong: [(&[&str], &str); 11] = [
        (
            &["--deadline", "soon"],
            "invalid value 'soon' for '--deadline <TIME>': expected a time such as 500ms or 2s",
        ),
        (&["--deadline", "0s"], "lets nothing run"),
        (&["--memory", "lots"], "invalid value 'lots' for '--memory <SIZE>': expected a size such as"),
        (&["--memory", "99999999TiB"], "expected a size below 16EiB"),
        (&["--fuel", "1__0"], "expected a whole number such as 1000000 or 1_000_000"),
        (&["--env", "A"], "expected a variable as KEY=VALUE"),
        (&["--dir", "/tmp"], "expected a directory as HOST::GUEST"),
        (&["--dir", "/no/such::/d"], "cannot grant the directory /no/such"),
        (&["--host-call", "a/b/c"], "expected a rule as BINDING/NAMESPACE/OPERATION=ANSWER"),
        (&["--host-call", "a/b=c"], "expected BINDING/NAMESPACE/OPERATION or * before the ="),
        (&["--engine", "quantum"], "invalid value 'quantum' for '--engine <ENGINE>'"),
    ];
    for (arguments, expected) in wrong {
        let all = [&["echo", "x"], arguments].concat();
        let text = call("sync", "rust.wasm", &all).failed(2).stderr;
        assert!(text.starts_with("error: ") && text.contains(expected), "{expected}: {text}");

        let error = call("sync", "rust.wasm", &[all, vec!["--error-format=json"]].concat()).failed(2).error();
        assert_eq!((&error["code"], &error["fault"]), (&"usage".into(), &"caller".into()));
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
    assert!(run(["sing"]).failed(2).stderr.contains("unrecognized subcommand 'sing'"));
    assert_eq!(run(["sing", "--error-format", "json"]).failed(2).error()["kind"], "Usage");
}

#[test]
fn a_long_argument_is_not_repeated_in_full() {
    let long = "é".repeat(50_000);
    for arguments in [
        &["--deadline", &long][..],
        &["--engine", &long],
        &["--json", &long],
        &[&format!("--{long}")],
        &["x", &long],
        &["--wasi", &format!("--fuel={long}")],
    ] {
        let text = call("sync", "rust.wasm", &[&["echo"], arguments].concat()).failed(2).stderr;
        assert!(text.starts_with("error: ") && text.contains("éé..'"), "{text:.1000}");
        assert!(text.len() < 1_500, "{} bytes: {text:.1000}", text.len());
    }
    let text = run([long.as_str()]).failed(2).stderr;
    assert!(text.starts_with("error: unrecognized subcommand 'éé") && text.len() < 1_500, "{text:.1000}");
}

#[test]
fn a_file_that_is_not_there_is_wrong_usage() {
    for command in [["call", "no/such.wasm", "echo"].as_slice(), &["inspect", "no/such.wasm"]] {
        let text = run(command).failed(2).stderr;
        assert!(
            text.starts_with("error: cannot read the module no/such.wasm\n  caused by: No such file"),
            "{text}"
        );
        let error = run([command, &["--error-format", "json"]].concat()).failed(2).error();
        assert_eq!(error["message"], "cannot read the module no/such.wasm");
    }
    let text = call("sync", "rust.wasm", &["echo", "--payload-file", "no/such"]).failed(2).stderr;
    assert!(text.starts_with("error: cannot read the payload no/such\n"), "{text}");
    let text = call("sync", "rust.wasm", &["echo", "--host-call", "*=@no/such"]).failed(2).stderr;
    assert!(text.starts_with("error: cannot read the answer to a host call no/such\n"), "{text}");
}

#[test]
fn what_is_no_guest_is_exit_code_4_with_every_reason() {
    let wat = Wat::new(r#"(module (import "env" "sin" (func (param f64) (result f64))))"#);
    let readme = guest("../README.md");
    for mode in MODES {
        let error = call_path(mode, &wat.path(), &["any", "--error-format", "json"]).failed(4).error();
        assert_eq!((&error["code"], &error["fate"]), (&"invalid_module".into(), &"never_born".into()));
        for reason in [
            "import env.sin (func(f64) -> f64) is unknown",
            "memory not exported by wasm module",
            "Guest call function (__guest_call) not exported by wasm module.",
        ] {
            assert!(error["message"].as_str().unwrap().contains(reason), "{error}");
        }
        let error = call_path(mode, &readme, &["any", "--error-format", "json"]).failed(4).error();
        assert!(error["message"].as_str().unwrap().starts_with("not a WebAssembly module: "), "{error}");
    }
}

#[test]
fn a_file_that_is_taken_for_a_module_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guest.wasm.gz");
    std::fs::write(&file, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03").unwrap();
    const SAID: &str = "not a WebAssembly module: it is compressed by gzip: decompress it first";
    for mode in MODES {
        let text = call_path(mode, &file, &["any"]).failed(4).stderr;
        assert!(text.starts_with(&format!("error: {SAID}\n")), "{text}");
    }
    let inspected = run(["inspect", file.to_str().unwrap()]);
    assert_eq!(inspected.code, Some(4));
    assert!(inspected.text().ends_with(&format!("not a waPC guest\n  - {SAID}\n")), "{}", inspected.text());
}

#[test]
fn a_guest_that_does_not_start_is_exit_code_4() {
    let wat = Wat::guest(r#"(func (export "wapc_init") unreachable)"#, "i32.const 1");
    for mode in MODES {
        let error = call_path(mode, &wat.path(), &["any", "--error-format", "json"]).failed(4).error();
        assert_eq!((&error["code"], &error["fault"]), (&"init_failed".into(), &"guest".into()));
        let text = call_path(mode, &wat.path(), &["any"]).failed(4).stderr;
        assert!(text.starts_with("error: Initialization failed: "), "{text}");
    }
}

#[test]
fn a_module_over_its_limit_is_not_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("huge.wasm");
    // A sparse file: 1 TiB in size, almost nothing on disk.
    std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    for mode in MODES {
        let text = call_path(mode, &file, &["any"]).failed(4).stderr;
        assert!(text.starts_with("error: module is over its limit of 16777216 bytes"), "{text}");
    }
}
