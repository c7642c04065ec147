//! What a call answers, logs and measures.

use std::process::Stdio;

use crate::program::{GUESTS, MODES, Wat, call, call_path, command, guest, here, run};

#[test]
fn the_answer_is_the_raw_bytes_of_the_response_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("payload");
    let bytes: Vec<u8> = (0..=255).collect();
    std::fs::write(&file, &bytes).unwrap();
    for name in GUESTS {
        for mode in MODES {
            call(mode, name, &["echo", "hello"]).answered("hello");
            call(mode, name, &["echo"]).answered("");
            call(mode, name, &["echo", "--payload-file", file.to_str().unwrap()]).answered(&bytes);
        }
    }
}

#[test]
fn async_mode_and_the_first_engine_are_the_defaults() {
    let module = guest("rust.wasm");
    run(["call".as_ref(), module.as_os_str(), "echo".as_ref(), "x".as_ref()]).answered("x");
    call("async", "rust.wasm", &["echo", "x", "--engine", here().next().unwrap()]).answered("x");
}

#[test]
fn what_the_guest_logs_goes_to_standard_error_and_is_harmless() {
    for name in GUESTS {
        for mode in MODES {
            let run = call(mode, name, &["log", "two\nlines \u{1b}[31m"]);
            assert_eq!((run.code, run.text()), (Some(0), ""), "{run:?}");
            assert_eq!(run.stderr, "guest: two\\nlines \\u{1b}[31m\n");
        }
    }
}

#[test]
fn log_lines_over_the_budget_of_a_call_are_left_out_with_a_warning() {
    let fields = r#"(import "wapc" "__console_log" (func $log (param i32 i32)))"#;
    // 40 lines of 4 KiB, of spaces.
    let body = "(local $n i32) (memory.fill (i32.const 0) (i32.const 32) (i32.const 4096))
        (loop $more (call $log (i32.const 0) (i32.const 4096))
            (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 40))))
        (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)";
    let wat = Wat::guest(fields, body);
    for mode in MODES {
        let run = call_path(mode, &wat.path(), &["any"]);
        assert_eq!((run.code, run.text()), (Some(0), ""));
        let logged = run.stderr.lines().filter(|line| line.starts_with("guest: ")).count();
        assert!((1..=16).contains(&logged), "{logged}");
        let warning = run.stderr.lines().last().unwrap();
        assert!(warning.starts_with("warning: log lines over the call's budget dropped ("), "{warning}");
    }
}

#[test]
fn to_call_many_times_is_another_command() {
    for option in ["--repeat", "--concurrency"] {
        let run = call("async", "rust.wasm", &["echo", "hi", option, "2"]).failed(2);
        let unknown = format!("error: unexpected argument '{option}' found\n");
        assert!(run.stderr.starts_with(&unknown), "{}", run.stderr);
        assert!(run.stderr.contains("\n  tip: to call many times, use 'antiphon bench'\n"), "{}", run.stderr);
    }
}

#[test]
fn a_guest_that_loops_ends_at_its_deadline() {
    let wat = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    for mode in MODES {
        let started = std::time::Instant::now();
        let run =
            call_path(mode, &wat.path(), &["any", "--deadline", "50ms", "--error-format", "json"]).failed(3);
        assert!(started.elapsed().as_secs() < 10);
        let error = run.error();
        assert_eq!((&error["code"], &error["phase"]), (&"deadline_exceeded".into(), &"guest".into()));
        let cause = error["chain"][0].as_str().unwrap();
        assert!(cause.starts_with("the deadline of 50ms passed in phase guest, after "), "{cause}");
        let limit = &error["limit"];
        assert_eq!((&limit["name"], &limit["allowed"]), (&"deadline".into(), &50_000.into()));
        assert_eq!(limit["unit"], "us");
        assert!(limit["used"].as_u64().unwrap() >= 50_000, "{limit}");
    }
}

#[test]
fn the_memory_of_a_guest_is_what_the_option_says() {
    // Answers whether its memory could grow by 32 pages, 2 MiB.
    let body = "(i32.store8 (i32.const 0) (i32.add (i32.const 49) (i32.shr_s (memory.grow (i32.const 32)) (i32.const 31))))
        (call $respond (i32.const 0) (i32.const 1)) (i32.const 1)";
    let wat = Wat::guest("", body);
    for mode in MODES {
        call_path(mode, &wat.path(), &["any"]).answered("1");
        call_path(mode, &wat.path(), &["any", "--memory", "1MiB"]).answered("0");
        call_path(mode, &wat.path(), &["any", "--memory", "3MiB"]).answered("1");
        let run =
            call_path(mode, &wat.path(), &["any", "--memory", "1KiB", "--error-format", "json"]).failed(4);
        assert_eq!(run.error()["code"], "invalid_module");
    }
}

/// Runs the program on a terminal of its own, and returns what it shows there.
#[cfg(target_os = "linux")]
fn on_a_terminal(arguments: &str) -> String {
    let line = format!("'{}' {arguments} 2>/dev/null", env!("CARGO_BIN_EXE_antiphon"));
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(crate::program::repository());
    let output =
        script.env("XDG_CACHE_HOME", crate::program::caches()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_on_a_terminal_is_harmless_unless_it_is_to_be_raw() {
    let hostile = "guests/built/rust.wasm echo \"$(printf 'one\\n\\033[2Jtwo')\"";
    assert_eq!(on_a_terminal(&format!("call {hostile}")), "one\r\n\\u{1b}[2Jtwo");
    assert_eq!(on_a_terminal(&format!("call {hostile} --raw")), "one\r\n\u{1b}[2Jtwo");
    // To anything else an answer goes as it is.
    call("sync", "rust.wasm", &["echo", "\u{1b}[2J"]).answered("\u{1b}[2J");
}

#[test]
fn every_line_on_standard_error_is_json_where_that_is_asked_for() {
    let lines = |run: &crate::program::Run| -> Vec<serde_json::Value> {
        run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let json = ["--error-format", "json"];
    for mode in MODES {
        let run = call(mode, "rust.wasm", &["log", "two\nlines \u{202e}", "--env", "A=b", json[0], json[1]]);
        let [warning, guest] = lines(&run).try_into().unwrap();
        assert_eq!(warning["level"], "warning");
        assert!(
            warning["message"].as_str().unwrap().starts_with("the module does not import WASI"),
            "{warning}"
        );
        assert_eq!((&guest["level"], &guest["stream"]), (&"guest".into(), &"console".into()));
        assert_eq!(guest["message"], "two\\nlines \\u{202e}");

        let run =
            call(mode, "rust.wasm", &["fail", "no tea", "-v", "--no-cache", json[0], json[1]]).failed(1);
        let all = lines(&run);
        let last = all.last().unwrap();
        assert_eq!(last["code"], "guest_failed", "{}", run.stderr);
        if cfg!(feature = "wasmtime") {
            assert_eq!(all[0]["level"], "note", "{}", run.stderr);
        }
    }
}

#[cfg(feature = "wasmtime")]
#[test]
fn what_was_compiled_and_what_was_cached_is_shown_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let call = |more: &[&str], log: Option<&str>| {
        let mut command =
            command(["call", "guests/built/rust.wasm", "echo", "hi", "--cache-dir", cache.to_str().unwrap()]);
        command.args(more).env_remove("RUST_LOG").envs(log.map(|log| ("RUST_LOG", log)));
        let run = crate::program::Run::from(command.output().unwrap());
        assert_eq!((run.code, run.text()), (Some(0), "hi"), "{}", run.stderr);
        run.stderr
    };
    let first = call(&["-v"], None);
    assert!(first.contains("note: a compiled module is not in the cache (directory: "), "{first}");
    assert!(first.contains("note: a module was compiled (time: "), "{first}");
    let second = call(&[], Some("antiphon=debug"));
    assert!(second.contains("note: a compiled module was in the cache (directory: "), "{second}");
    assert!(!second.contains("was compiled"), "{second}");
    assert_eq!(call(&[], None), "");
    assert!(call(&[], Some("antiphon=loud")).starts_with("warning: RUST_LOG is not understood"));
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("payload");
    std::fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    let mut child = command(["call".as_ref(), guest("rust.wasm").as_os_str()])
        .args(["echo", "--payload-file"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command =
        command(["call".as_ref(), guest("rust.wasm").as_os_str(), "echo".as_ref(), "x".as_ref()]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write to standard output"));
}

/// Python and Node throw output away like this.
#[cfg(unix)]
#[test]
fn an_answer_that_is_thrown_away_through_a_file_for_both_directions_is_no_error() {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let output = command(["call".as_ref(), guest("rust.wasm").as_os_str(), "echo".as_ref(), "x".as_ref()])
        .stdout(null)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
