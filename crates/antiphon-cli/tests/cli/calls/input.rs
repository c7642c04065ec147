//! Payloads from every source, and payloads over the limit.

use crate::program::{MODES, call, guest, run_with_input};

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
            assert_eq!(error["message"], "payload is over its limit of 4194304 bytes");
            assert_eq!((&error["kind"], &error["fault"]), (&"TooLarge".into(), &"caller".into()));
        }
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
    crate::program::run(["call".as_ref(), module.as_os_str(), "echo".as_ref(), payload])
        .answered(b"\xff\xfe");
}
