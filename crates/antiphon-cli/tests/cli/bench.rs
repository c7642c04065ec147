//! `antiphon bench`: what it measures, compares and reports.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{MODES, Run, Wat, command, guest, here, run};

/// Runs `antiphon bench` for a moment.
fn bench(module: &str, arguments: &[&str]) -> Run {
    let module = guest(module);
    let mut all = vec!["bench", module.to_str().unwrap()];
    all.extend(arguments);
    all.extend(["--duration", "200ms"]);
    run(all)
}

#[track_caller]
fn json(run: &Run) -> Value {
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(run.text()).unwrap()
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn throughput_latency_and_memory_are_measured_in_every_setting() {
    for mode in MODES {
        for isolation in ["reuse", "per-call"] {
            for engine in here() {
                let run = bench(
                    "rust.wasm",
                    &["echo", "hello", "--format", "json", "--concurrency", "3", "--instances", "2"]
                        .into_iter()
                        .chain(["--mode", mode, "--isolation", isolation, "--engine", engine])
                        .collect::<Vec<_>>(),
                );
                let report = json(&run);
                assert_eq!((&report["operation"], &report["payload_bytes"]), (&"echo".into(), &5.into()));
                assert_eq!((&report["duration_ns"], &report["ratio"]), (&200_000_000.into(), &Value::Null));
                assert_eq!(report["interrupted"], false);
                let [one] = report["runs"].as_array().unwrap().as_slice() else {
                    unreachable!("one run: {report}")
                };
                for (field, value) in [("mode", mode), ("isolation", isolation), ("engine", engine)] {
                    assert_eq!(one[field], value);
                }
                assert_eq!((&one["concurrency"], &one["instances"]), (&3.into(), &2.into()));
                assert_eq!(one["errors"], serde_json::json!({}));

                let (calls, time) = (number(&one["answered"]), number(&one["time_ns"]) / 1e9);
                assert!(calls >= 3.0 && (0.2..20.0).contains(&time), "{calls} in {time}");
                let rate = number(&one["calls_per_second"]);
                assert!((rate - calls / time).abs() < rate / 1e6, "{rate} of {calls} in {time}");
                assert_eq!(one["turns"], serde_json::json!([rate]));
                let times = ["min", "p50", "p90", "p95", "p99", "p99.9", "max"];
                let times: Vec<_> = times.iter().map(|name| number(&one["latency_ns"][name])).collect();
                assert!(times.is_sorted() && times[0] > 0.0, "{times:?}");
                let mean = number(&one["latency_ns"]["mean"]);
                assert!(times[0] <= mean && mean <= times[6], "{mean} of {times:?}");
                assert_eq!(number(&one["guest_memory_bytes"]) % 65536.0, 0.0);
                if cfg!(target_os = "linux") {
                    let resident = &report["resident"];
                    assert!(number(&resident["peak_bytes"]) > 1e6, "{resident}");
                    assert!(number(&resident["first_bytes"]) > 1e6, "{resident}");
                }
            }
        }
    }
}

#[test]
fn the_text_has_a_block_for_each_contender_and_the_ratio() {
    let run = bench("rust.wasm", &["echo", "hi", "--concurrency", "1", "--compare", "mode=sync"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = run.text().lines().collect();
    let starts = ["", "  calls     ", "  latency   min ", "  errors    none", "  memory    "];
    let starts = [starts, starts].concat().into_iter().chain(["process   ", "ratio     "]);
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line} does not start with {start:?}");
    }
    assert_eq!(lines.len(), 12, "{}", run.text());
    assert!(lines[0].contains("rust.wasm on ") && lines[0].ends_with("async, reuse: 1 caller, 1 instance"));
    assert!(lines[5].ends_with("sync, reuse: 1 caller, 1 instance"), "{}", lines[5]);
}

#[test]
fn two_contenders_take_turns_and_the_slower_one_is_seen() {
    // One of them does much more work in each call.
    let guest = |loops: u32| {
        Wat::guest(
            "",
            &format!(
                "(local $n i32) (local.set $n (i32.const {loops}))
                (loop $more (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)"
            ),
        )
    };
    let (quick, slow) = (guest(1), guest(200_000));
    let (quick, slow) = (quick.path(), slow.path());
    let run = run([
        "bench".as_ref(),
        quick.as_os_str(),
        "any".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        "--duration".as_ref(),
        "600ms".as_ref(),
        "--compare".as_ref(),
        slow.as_os_str(),
    ]);
    let report = json(&run);
    let runs = report["runs"].as_array().unwrap();
    let modules: Vec<_> = runs.iter().map(|run| run["module"].as_str().unwrap()).collect();
    assert_eq!(modules, [quick.to_str().unwrap(), slow.to_str().unwrap()]);
    for run in runs {
        assert_eq!(run["turns"].as_array().unwrap().len(), 2);
        assert!((0.6..20.0).contains(&(number(&run["time_ns"]) / 1e9)), "{run}");
    }
    let ratio = &report["ratio"];
    assert!(number(&ratio["calls_per_second"]) < 0.7, "{ratio}");
    assert!(number(&ratio["lowest"]) <= number(&ratio["highest"]), "{ratio}");
    assert!(number(&ratio["p50"]) > 1.5, "{ratio}");
}

#[test]
fn errors_are_counted_by_kind_and_end_nothing() {
    // Every other call of an instance traps, which discards the instance.
    let wat = Wat::guest(
        "(global $calls (mut i32) (i32.const 0))",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))
        (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)",
    );
    for mode in MODES {
        let path = wat.path();
        let run = run([
            "bench",
            path.to_str().unwrap(),
            "any",
            "--mode",
            mode,
            "--duration",
            "200ms",
            "--format=json",
        ]);
        let report = json(&run);
        let one = &report["runs"][0];
        assert!(number(&one["errors"]["trapped"]) >= 1.0 && number(&one["answered"]) >= 1.0, "{one}");
        assert_eq!(one["errors"].as_object().unwrap().len(), 1, "{one}");
    }
}

#[test]
fn where_every_call_fails_the_exit_code_says_so_after_the_report() {
    for mode in MODES {
        let run = bench("rust.wasm", &["fail", "no tea", "--mode", mode, "--error-format", "json"]);
        assert_eq!(run.code, Some(1));
        assert!(run.text().contains("\n  latency   none: nothing was answered\n  errors    guest_failed "));
        assert_eq!(run.error()["code"], "guest_failed");
    }
}

#[test]
fn a_guest_that_never_ends_holds_it_up_no_longer_than_a_deadline() {
    let wat = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    for mode in MODES {
        let (path, started) = (wat.path(), std::time::Instant::now());
        let run = run([
            "bench",
            path.to_str().unwrap(),
            "any",
            "--mode",
            mode,
            "--duration",
            "100ms",
            "--deadline",
            "50ms",
            "--error-format",
            "json",
        ]);
        assert_eq!((run.code, &run.error()["code"]), (Some(3), &"deadline_exceeded".into()));
        assert!(started.elapsed().as_secs() < 15);
    }
}

#[test]
fn the_payload_may_be_a_value() {
    let greet = ["greet", "--json", r#"{"name":"Ada","count":2}"#, "--format", "json"];
    let report = json(&bench("c.wasm", &greet));
    assert_eq!(report["payload_bytes"], 17);
    assert!(number(&report["runs"][0]["answered"]) >= 1.0, "{report}");
}

#[test]
fn who_asks_for_a_report_by_the_old_spelling_is_told_the_new_one() {
    const TIP: &str = "'--json' is the payload; for a report in JSON, use '--format json'";
    for command in ["bench", "compare"] {
        for old in [
            &["echo", "hello", "--json"][..],
            &["echo", "--json", "hello"],
            &["echo", "hello", "--json", "[1]"],
        ] {
            let module = guest("rust.wasm");
            let all = [&[command, module.to_str().unwrap()], old].concat();
            let refused = run(all).failed(2);
            assert!(refused.stderr.contains(TIP), "{command} {old:?}: {}", refused.stderr);
        }
    }
}

#[test]
fn what_is_no_setting_is_wrong_usage() {
    for (option, value) in
        [("--compare", "engine=v8"), ("--concurrency", "0"), ("--instances", "x"), ("--duration", "0s")]
    {
        let run = bench("rust.wasm", &["echo", option, value]).failed(2);
        assert!(run.stderr.contains(value), "{}", run.stderr);
    }
    let run = bench("rust.wasm", &["echo", "--compare", "nowhere.wasm"]).failed(2);
    assert!(run.stderr.contains("cannot read the module nowhere.wasm"), "{}", run.stderr);
}

#[cfg(target_os = "linux")]
mod interrupted {
    //! Interrupted by Ctrl-C.

    use std::ffi::OsStr;
    use std::io::Read;
    use std::process::Stdio;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::number;
    use crate::program::{MODES, Wat, guest, interrupt};

    const SECOND: Duration = Duration::from_secs(1);
    /// Long enough for some calls, on a busy machine too.
    const MOMENT: Duration = Duration::from_millis(500);

    /// Returns the report of `antiphon bench` with a duration of an hour, when Ctrl-C is pressed
    /// after this time.
    fn bench(module: &OsStr, arguments: &[&str], time: Duration) -> String {
        let all: Vec<&OsStr> = ["bench".as_ref(), module, "echo".as_ref()].to_vec();
        let mut child = interrupt::command(all)
            .args(arguments)
            .args(["--duration", "1h", "--concurrency", "2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        interrupt::wait_for(&mut child, time);
        let pressed = Instant::now();
        interrupt::press(&child);
        let (mut report, mut errors) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        interrupt::ended(child.wait().unwrap());
        assert!(pressed.elapsed() < Duration::from_secs(10), "{:?}", pressed.elapsed());
        assert_eq!(errors, "");
        report
    }

    #[test]
    fn what_was_measured_until_then_is_reported() {
        for mode in MODES {
            let report = bench(guest("rust.wasm").as_os_str(), &["hello", "--mode", mode], MOMENT);
            assert!(report.starts_with("interrupted: what was measured until then\n"), "{report}");
            assert!(report.contains("\n  latency   min ") && report.contains("\nprocess   "), "{report}");

            let report =
                bench(guest("rust.wasm").as_os_str(), &["hello", "--mode", mode, "--format=json"], MOMENT);
            let report: Value = serde_json::from_str(&report).unwrap();
            assert_eq!((&report["interrupted"], &report["ratio"]), (&true.into(), &Value::Null));
            let one = &report["runs"][0];
            assert!(number(&one["answered"]) >= 1.0 && number(&one["latency_ns"]["p50"]) > 0.0, "{one}");
            let time = number(&one["time_ns"]) / 1e9;
            assert!((0.3..30.0).contains(&time), "{time}");
            assert_eq!(one["turns"], json!([]), "none was finished");
        }
    }

    #[test]
    fn of_two_contenders_the_turns_that_were_finished_are_compared() {
        // In an hour each turn takes 3.6 s, so none is complete.
        let report = bench(guest("rust.wasm").as_os_str(), &["--compare", "mode=sync"], MOMENT);
        assert!(report.starts_with("interrupted: ") && report.contains("\n  latency   none: "), "{report}");
        assert!(report.ends_with("\nratio     none: too little was measured\n"), "{report}");
    }

    #[test]
    fn a_call_that_is_under_way_is_not_waited_for() {
        // Two seconds after its start, an instance never returns from a call. The warm-up, which
        // waits for its calls, is over by then.
        let endless = Wat::guest(
            r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
            (global $first (mut i64) (i64.const 0))"#,
            "(drop (call $clock (i32.const 1) (i64.const 1) (i32.const 8)))
            (if (i64.eqz (global.get $first)) (then (global.set $first (i64.load (i32.const 8)))))
            (if (i64.gt_u (i64.sub (i64.load (i32.const 8)) (global.get $first)) (i64.const 2000000000))
                (then (loop $forever (br $forever))))
            (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)",
        );
        for mode in MODES {
            let report = bench(endless.path().as_os_str(), &["--mode", mode, "--deadline", "1h"], 3 * SECOND);
            assert!(
                report.contains("\n  latency   min ") && report.contains("\n  errors    none\n"),
                "{report}"
            );
        }
    }

    #[test]
    fn it_is_ignored_by_who_was_started_so() {
        let mut child =
            interrupt::ignored(["bench".as_ref(), guest("rust.wasm").as_os_str(), "echo".as_ref()])
                .args(["hello", "--duration", "1500ms"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        let begun = Instant::now();
        // The module is compiled, and calls are made.
        sleep(Duration::from_secs(1));
        interrupt::press(&child);
        let mut report = String::new();
        child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(
            begun.elapsed() >= Duration::from_millis(1500) && !report.starts_with("interrupted"),
            "{report}"
        );
    }

    #[test]
    fn a_second_one_ends_it_at_once() {
        // Nothing reads the pipe: it is full and blocks the report.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "head -c 65536 /dev/zero; exec env --default-signal=INT \"$0\" bench \"$1\" echo --duration 1h"])
            .args([env!("CARGO_BIN_EXE_antiphon").as_ref(), guest("rust.wasm").as_os_str()])
            .env("XDG_CACHE_HOME", crate::program::caches())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        interrupt::wait_for(&mut child, MOMENT);
        interrupt::press(&child);
        sleep(Duration::from_millis(700));
        assert_eq!(child.try_wait().unwrap(), None, "the report waits for its reader");
        interrupt::press(&child);
        let pressed = Instant::now();
        interrupt::ended(child.wait().unwrap());
        assert!(pressed.elapsed() < Duration::from_secs(5), "{:?}", pressed.elapsed());
    }
}

#[test]
fn a_payload_that_looks_like_the_duration_is_pointed_out() {
    let module = guest("c.wasm");
    let note = |arguments: &[&str]| {
        let mut command = command(["bench".as_ref(), module.as_os_str(), "echo".as_ref()]);
        let command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        // Without an option it would measure for ten seconds.
        child.kill().unwrap();
        child.wait().unwrap();
        line
    };
    assert_eq!(
        note(&["1s"]),
        "note: the payload of each call is the text '1s'; to measure for that time, say --duration 1s\n"
    );
    assert_eq!(note(&["1s", "--duration", "50ms"]), "");
    assert_eq!(note(&["hello", "--duration", "50ms"]), "");
}
