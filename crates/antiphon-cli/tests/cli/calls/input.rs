//! Payloads from every source, and payloads over the limit.

use crate::program::{MODES, call, guest, repository, run, run_with_input};

const LIMIT: usize = 4 << 20;

fn echo_input(mode: &str, input: &[u8], more: &[&str]) -> crate::program::Run {
    let module = guest("rust.wasm");
    let arguments = ["call", "--mode", mode, module.to_str().unwrap(), "echo", "-"];
    run_with_input(&[&arguments, more].concat(), input)
}

#[test]
fn a_dash_reads_standard_input() {
    for mode in MODES {
        echo_input(mode, b"from\0 a pipe\xff", &[]).answered(b"from\0 a pipe\xff");
        echo_input(mode, b"", &[]).answered("");
        let most = vec![7; LIMIT];
        echo_input(mode, &most, &[]).answered(&most);
    }
}

#[test]
fn a_payload_over_its_limit_is_too_large_wherever_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("payload");
    std::fs::write(&file, vec![7; LIMIT + 1]).unwrap();
    for mode in MODES {
        let json = ["--error-format", "json"];
        let of_file = ["echo", "--payload-file", file.to_str().unwrap(), json[0], json[1]];
        for run in [echo_input(mode, &vec![7; LIMIT + 1], &json), call(mode, "rust.wasm", &of_file)] {
            let error = run.failed(3).error();
            assert_eq!(
                error["message"],
                "payload is over its limit of 4194304 bytes; raise it with --payload"
            );
            assert_eq!((&error["kind"], &error["fault"]), (&"TooLarge".into(), &"caller".into()));
        }
    }
}

#[test]
fn a_dash_for_the_module_reads_it_from_standard_input() {
    let bytes = std::fs::read(guest("rust.wasm")).unwrap();
    for mode in MODES {
        run_with_input(&["call", "-", "echo", "hi", "--mode", mode], &bytes).answered("hi");
    }
    let inspected = run_with_input(&["inspect", "-"], &bytes);
    assert_eq!(inspected.code, Some(0));
    assert!(inspected.text().starts_with("module    -\n"), "{}", inspected.text());
    let large = run_with_input(&["call", "-", "echo", "--module-size", "9"], &bytes).failed(4);
    assert!(large.stderr.starts_with("error: module is over its limit of 9 bytes"), "{}", large.stderr);
    for payload in [&["-"][..], &["--json", "-"]] {
        let twice = run_with_input(&[&["call", "-", "echo"], payload].concat(), &bytes).failed(2);
        assert!(twice.stderr.starts_with("error: cannot read standard input twice\n"), "{}", twice.stderr);
    }
    let native = run_with_input(&["call", "-", "echo"], b"\x7fELF and more").failed(2);
    assert!(native.stderr.contains("an artifact is opened by its path"), "{}", native.stderr);
    let cases = repository().join("guests/c/cases.toml");
    let watched = run(["watch", "-", "--cases", cases.to_str().unwrap()]).failed(2);
    assert!(watched.stderr.starts_with("error: cannot watch standard input\n"), "{}", watched.stderr);
}

#[test]
fn an_option_raises_each_limit_that_an_error_names() {
    // Its payload is one byte; it asks its host and answers with what that answered.
    let large = "x".repeat(100);
    let answer = format!("*={large}");
    for mode in MODES {
        let over = |arguments: &[&str], code: i32| {
            let json = [arguments, &["--error-format", "json"]].concat();
            let error = call(mode, "c.wasm", &json).failed(code).error();
            (error["limit"].clone(), error["message"].as_str().unwrap().to_owned())
        };
        let (limit, message) = over(&["host", "x", "--host-call", &answer, "--payload", "99"], 3);
        assert!(
            limit.is_null() && message.ends_with("limit of 99 bytes; raise it with --payload"),
            "{message}"
        );
        call(mode, "c.wasm", &["host", "x", "--host-call", &answer, "--payload", "100"]).answered(&large);
        let (_, message) = over(&["echo", &large, "--payload", "99"], 3);
        assert_eq!(message, "payload is over its limit of 99 bytes; raise it with --payload");
        // It answers with more than it gets.
        let greet = ["greet", "--json", r#"{"name":"Ada","count":9}"#, "--payload"];
        let (limit, message) = over(&[&greet[..], &["50"]].concat(), 3);
        assert_eq!((&limit["name"], &limit["option"]), (&"response".into(), &"--payload".into()), "{limit}");
        assert!(message.contains("its limit of 50 bytes (raise it with Limits::response)"), "{message}");
        assert_eq!(call(mode, "c.wasm", &[&greet[..], &["1KiB"]].concat()).code, Some(0));

        let (limit, _) = over(&["host", "x", "--host-call", "*=y", "--host-calls", "0"], 3);
        assert_eq!((&limit["name"], &limit["option"]), (&"host_calls".into(), &"--host-calls".into()));
        let (limit, _) = over(&["host", "x", "--host-call", "*=y", "--host-call-bytes", "1"], 3);
        assert_eq!(limit["option"], "--host-call-bytes", "{limit}");
        let (limit, message) = over(&["echo", "--table-elements", "0"], 4);
        assert_eq!(
            (&limit["name"], &limit["option"]),
            (&"table_elements".into(), &"--table-elements".into())
        );
        assert!(message.contains("over the limit of 0 (raise it with Limits::table_elements)"), "{message}");
        let (limit, _) = over(&["echo", "--memory", "1KiB"], 4);
        assert_eq!((&limit["name"], &limit["option"]), (&"memory".into(), &"--memory".into()));
        let (_, message) = over(&["echo", "--module-size", "9"], 4);
        assert_eq!(message, "module is over its limit of 9 bytes; raise it with --module-size");

        let text =
            call(mode, "c.wasm", &["host", "x", "--host-call", "*=y", "--host-calls", "0"]).failed(3).stderr;
        assert!(text.contains("\n  limit: host_calls: 1 of 0 calls; raise it with --host-calls\n"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn an_endless_input_is_not_read_to_its_end() {
    let text = call("async", "rust.wasm", &["echo", "--payload-file", "/dev/zero"]).failed(3).stderr;
    assert!(text.starts_with("error: payload is over its limit of 4194304 bytes"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_payload_that_is_no_unicode_is_passed_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let payload = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let module = guest("rust.wasm");
    run(["call".as_ref(), module.as_os_str(), "echo".as_ref(), payload]).answered(b"\xff\xfe");
}
