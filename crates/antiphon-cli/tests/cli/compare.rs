//! `antiphon compare`: the same call on every engine.

use serde_json::{Value, json};

use crate::program::{GUESTS, LARGE_GUEST, Run, Wat, command, guest, here};

fn compare(module: &std::path::Path, arguments: &[&str]) -> Run {
    command(["compare".as_ref(), module.as_os_str()]).args(arguments).output().unwrap().into()
}

/// Returns the JSON report of a comparison that ends with this exit code.
#[track_caller]
fn report(module: &std::path::Path, arguments: &[&str], code: i32) -> Value {
    let run = compare(module, &[arguments, &["--format", "json"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(code), ""), "{}", run.text());
    serde_json::from_slice(&run.stdout).unwrap()
}

fn runs(report: &Value) -> &[Value] {
    report["runs"].as_array().unwrap()
}

/// Returns a guest that answers eight random bytes.
fn dice() -> Wat {
    Wat::guest(
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#,
        "(drop (call $random (i32.const 0) (i32.const 8)))
        (call $respond (i32.const 0) (i32.const 8)) (i32.const 1)",
    )
}

#[test]
fn engines_that_agree_have_the_exit_code_of_the_outcome() {
    // Every run compiles, which takes seconds for the large guest.
    let full = std::env::var_os("ANTIPHON_CLI_FULL").is_some();
    for name in GUESTS.into_iter().filter(|&name| full || name != LARGE_GUEST) {
        let report = report(&guest(name), &["echo", "hello", "--repeat", "3"], 0);
        assert_eq!((&report["same"], &report["differences"]), (&true.into(), &json!([])));
        assert_eq!((&report["operation"], &report["repeat"]), (&"echo".into(), &3.into()));
        let expected: Vec<_> = here().flat_map(|engine| [(engine, "sync"), (engine, "async")]).collect();
        let of = |run: &Value, field: &str| run[field].as_str().unwrap().to_owned();
        let found: Vec<_> = runs(&report).iter().map(|run| (of(run, "engine"), of(run, "mode"))).collect();
        assert_eq!(found, expected.iter().map(|(e, m)| ((*e).into(), (*m).into())).collect::<Vec<_>>());
        for run in runs(&report) {
            assert_eq!(
                run["answer"],
                json!({
                    "size": 5,
                    "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                })
            );
            assert_eq!((&run["error"], &run["answers"]["count"]), (&Value::Null, &4.into()));
            for time in ["load_ns", "start_ns", "call_ns"] {
                assert!(run[time].as_u64().is_some_and(|time| time > 0), "{time}: {run}");
            }
        }
    }
}

#[test]
fn failures_that_agree_have_their_exit_code_too() {
    for (operation, code, kind) in [("fail", 1, "guest_failed"), ("panic", 3, "trapped")] {
        let report = report(&guest("rust.wasm"), &[operation, "no tea"], code);
        assert_eq!(report["same"], true);
        for run in runs(&report) {
            assert_eq!((&run["error"]["code"], &run["answer"]), (&kind.into(), &Value::Null), "{run}");
            // The first call failed, so no other was made.
            assert_eq!((&run["answers"]["count"], &run["call_ns"]), (&0.into(), &Value::Null));
        }
    }
    let spins = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    let report_of_time = report(&spins.path(), &["any", "--deadline", "20ms"], 3);
    assert!(runs(&report_of_time).iter().all(|run| run["error"]["code"] == "deadline_exceeded"));

    let no_guest = Wat::new("(module)");
    let report_of_load = report(&no_guest.path(), &["any"], 4);
    for run in runs(&report_of_load) {
        assert_eq!((&run["error"]["code"], &run["load_ns"]), (&"invalid_module".into(), &Value::Null));
    }

    let no_start = Wat::guest(r#"(func (export "wapc_init") unreachable)"#, "i32.const 1");
    let report_of_start = report(&no_start.path(), &["any"], 4);
    for run in runs(&report_of_start) {
        assert_eq!((&run["error"]["code"], &run["start_ns"]), (&"init_failed".into(), &Value::Null));
        assert!(run["load_ns"].is_u64());
    }
}

#[test]
fn the_payload_may_be_a_value() {
    let greet = ["greet", "--json", r#"{"name":"Ada","count":2}"#];
    let report = report(&guest("c.wasm"), &greet, 0);
    assert!(runs(&report).iter().all(|run| run["answer"]["size"] == 38), "{report}");
}

#[test]
fn a_guest_that_counts_its_calls_agrees_call_by_call() {
    let counter = Wat::guest(
        "(global $calls (mut i32) (i32.const 48))",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store8 (i32.const 0) (global.get $calls))
        (call $respond (i32.const 0) (i32.const 1)) (i32.const 1)",
    );
    let report = report(&counter.path(), &["any", "--repeat", "2"], 0);
    for run in runs(&report) {
        // The SHA-256 of "3".
        assert_eq!(
            run["answer"]["sha256"],
            "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"
        );
    }
}

#[test]
fn what_a_guest_logs_and_asks_for_is_compared_and_not_shown() {
    let module = guest("assemblyscript.wasm");
    let report_of_log = report(&module, &["log", "all is well"], 0);
    assert!(runs(&report_of_log).iter().all(|run| run["log"]["count"] == 1), "{report_of_log}");
    let report_of_call = report(&module, &["host", "hi", "--host-call", "*=back"], 0);
    assert!(runs(&report_of_call).iter().all(|run| run["host_calls"]["count"] == 1), "{report_of_call}");

    // Logs random bytes, and always gives the same answer.
    let gossip = Wat::guest(
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wapc" "__console_log" (func $log (param i32 i32)))"#,
        "(drop (call $random (i32.const 0) (i32.const 32))) (call $log (i32.const 0) (i32.const 32))
        (call $respond (i32.const 0) (i32.const 0)) (i32.const 1)",
    );
    let report_of_gossip = report(&gossip.path(), &["any"], 5);
    assert_eq!(report_of_gossip["differences"], json!(["what the guest logs"]));
}

#[test]
fn outcomes_that_differ_have_an_exit_code_of_their_own() {
    let report_of_dice = report(&dice().path(), &["any"], 5);
    assert_eq!(report_of_dice["same"], false);
    assert_eq!(report_of_dice["differences"], json!(["the answer"]));

    let run = compare(&dice().path(), &["any"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(5), ""));
    assert!(run.text().ends_with("verdict   not the same: the answer\n"), "{}", run.text());
}

#[test]
fn a_deterministic_guest_agrees_whatever_it_draws() {
    let module = dice();
    let of = |seed: &str| {
        let report = report(&module.path(), &["any", "--deterministic", seed], 0);
        runs(&report)[0]["answer"]["sha256"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("7"), of("7"));
    assert_ne!(of("7"), of("8"));
}

#[test]
fn fuel_that_is_too_little_on_every_engine_is_one_outcome() {
    let spins = Wat::guest("", "(loop $forever (br $forever)) unreachable");
    let report = report(&spins.path(), &["any", "--fuel", "10000"], 3);
    assert!(runs(&report).iter().all(|run| run["error"]["code"] == "out_of_fuel"), "{report}");
}

#[test]
fn the_table_has_a_line_for_each_engine_and_mode() {
    let run = compare(&guest("rust.wasm"), &["fail", "no\n\u{1b}[2Jtea"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let lines: Vec<_> = run.text().lines().collect();
    assert_eq!(lines.len(), 2 + 2 * here().count(), "{}", run.text());
    assert!(lines[0].starts_with("engine    mode"), "{}", lines[0]);
    for line in &lines[1..lines.len() - 1] {
        assert!(line.ends_with(r"  guest_failed: the guest refused: no\n\u{1b}[2Jtea"), "{line}");
    }
    assert_eq!(lines[lines.len() - 1], "verdict   the same everywhere");
}

#[test]
fn engines_may_be_chosen_and_count_once() {
    for engine in here() {
        let all = ["echo", "x", "--engine", engine, "--engine", engine];
        let report = report(&guest("rust.wasm"), &all, 0);
        let engines: Vec<_> = runs(&report).iter().map(|run| run["engine"].as_str().unwrap()).collect();
        assert_eq!(engines, [engine, engine]);
    }
}

#[test]
fn what_cannot_be_compared_is_wrong_usage() {
    compare(&guest("rust.wasm"), &["echo", "--repeat", "0"]).failed(2);
    compare(std::path::Path::new("no/such.wasm"), &["echo"]).failed(2);
}
