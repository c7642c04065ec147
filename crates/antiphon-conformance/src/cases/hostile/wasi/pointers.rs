//! Every function of WASI preview 1 with hostile values for every argument, one at a time.
//! `table.rs` says what each argument is for, and so what the outcome must be.

use std::fmt::Write as _;
use std::time::Duration;

use antiphon::{Limits, WasiParams};

use super::table::{FUNCTIONS, Function, Role};
use crate::suite::{Case, Guest, Host, Need, Subject, case};
use crate::support::{Failure, says};

const NEEDS: &[Need] = &[Need::Wasi];

pub(super) const CASES: &[Case] = &[
    case!(hostile_wasi_pointers::wild_pointers_to_arguments_and_environment).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::wild_pointers_to_clocks).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::wild_pointers_to_descriptors).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::wild_pointers_to_paths).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::wild_pointers_to_sockets).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::wild_pointers_to_polls).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::wild_pointers_to_random_bytes_and_the_process).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::every_argument_wild_at_once).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::every_function_without_a_byte_of_memory).needs(NEEDS).hostile(),
    case!(hostile_wasi_pointers::every_function_in_a_start_section).needs(NEEDS).hostile(),
];

/// The end of the guest's memory of one page.
const END: i64 = 65_536;

/// The names under which guests import WASI.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Pointers outside memory, to its last bytes, and to an odd address inside. As other arguments
/// these are large, negative, or simply wrong.
const HOSTILE: [i64; 9] = [-1, 0x7fff_ffff, i32::MIN as i64, -4, END, END - 1, END - 2, END - 4, 5121];

/// Returns a guest that imports every function of the table and calls one of them. The payload has
/// the function's number at 0 and then its arguments, 8 bytes each. The guest answers the error
/// number. At 1024 is what the table's sound pointers point to.
fn caller(module: &str, more: &str) -> Guest {
    let mut body = String::new();
    for Function { name, params, .. } in FUNCTIONS {
        let types: String = params.iter().map(|(_, role, _)| format!(" {}", role.ty())).collect();
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        writeln!(body, "(func ${name} (import {module:?} {name:?}) (param{types}) {result})").unwrap();
    }
    body.push_str("(func $dispatch (result i32)\n");
    for (number, Function { name, params, .. }) in FUNCTIONS.iter().enumerate() {
        let arguments: String = (1..)
            .zip(*params)
            .map(|(at, (_, role, _))| format!(" ({}.load (i32.const {}))", role.ty(), at * 8))
            .collect();
        let call = match *name {
            "proc_exit" => format!("(call ${name}{arguments}) (i32.const 0)"),
            _ => format!("(call ${name}{arguments})"),
        };
        writeln!(body, "(if (i32.eq (i32.load (i32.const 0)) (i32.const {number})) (then (return {call})))")
            .unwrap();
    }
    body.push_str(
        r#"unreachable)
           (func $run (param i32 i32) (result i32)
             (call $guest_request (i32.const 512) (i32.const 0))
             (call $answer_i32 (call $dispatch)))
           (data (i32.const 1024) "\00\08\00\00\04\00\00\00\00\08\00\00\00\00\00\00") ;; two buffers, 4 and 0 bytes at 2048
           (data (i32.const 1280) "user\00\00\00\00\01\00\00\00\00\00\00\00") ;; whether there is something to read
           "#,
    );
    body.push_str(more);
    // No call should wait; one that does ends by this deadline.
    Guest::new(&body).wasi_params(world()).limits(Limits::new().deadline(Duration::from_secs(1)))
}

/// Returns the arguments and the environment that the table assumes.
fn world() -> WasiParams {
    WasiParams {
        argv: vec!["a".into(), "b".into()],
        env_vars: vec![("K".into(), "v".into())],
        ..WasiParams::default()
    }
}

/// The outcome that a call must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The guest reads an error number; 0 is success.
    Errno(i32),
    /// The call ends, and the error names the function.
    Trap,
    /// The call ends with the exit code.
    Exit(i32),
}

/// Returns the outcome that a call must have with `value` for one argument and the table's values
/// for the others.
fn outcome(function: &Function, changed: usize, value: i64) -> Outcome {
    let (_, role, _) = function.params[changed];
    let unsigned = i64::from(value as i32 as u32);
    match role {
        Role::Span(length) if unsigned + length > END => Outcome::Trap,
        Role::Length(from) if from + unsigned > END => Outcome::Trap,
        Role::Span(_) | Role::Length(_) | Role::Unread | Role::Unread64 => Outcome::Errno(function.errno),
        Role::Chosen(errno) => Outcome::Errno(errno),
        Role::ExitCode => Outcome::Exit(value as i32),
    }
}

fn payload(number: usize, arguments: &[i64]) -> Vec<u8> {
    std::iter::once(number as i64).chain(arguments.iter().copied()).flat_map(i64::to_le_bytes).collect()
}

/// Calls a function and compares the outcome.
#[track_caller]
fn check(host: &Host, number: usize, arguments: &[i64], expected: Outcome) {
    let name = FUNCTIONS[number].name;
    let payload = payload(number, arguments);
    match expected {
        Outcome::Errno(errno) => assert_eq!(host.number("run", &payload), errno, "{name}{arguments:x?}"),
        Outcome::Trap => {
            let error = host.fails("run", &payload, Failure::TRAPPED);
            assert_eq!(error.exit_code(), None, "{name}{arguments:x?}");
            says(&error, &[name, "outside"]);
        }
        Outcome::Exit(code) => {
            assert_eq!(host.fails("run", &payload, Failure::TRAPPED).exit_code(), Some(code));
        }
    }
}

/// Calls the functions whose names begin with one of the prefixes, under both names of WASI: first
/// with sound arguments, then with each hostile value for each argument.
fn hostile(subject: &Subject, prefixes: &[&str]) {
    let mut calls = 0;
    for module in MODULES {
        let host = subject.host(caller(module, ""));
        for (number, function) in FUNCTIONS.iter().enumerate() {
            if !prefixes.iter().any(|prefix| function.name.starts_with(prefix)) {
                continue;
            }
            let sound: Vec<i64> = function.params.iter().map(|(_, _, value)| *value).collect();
            match function.name {
                "proc_exit" => check(&host, number, &sound, Outcome::Exit(sound[0] as i32)),
                _ => check(&host, number, &sound, Outcome::Errno(function.errno)),
            }
            for changed in 0..sound.len() {
                for value in HOSTILE {
                    let mut arguments = sound.clone();
                    arguments[changed] = value;
                    check(&host, number, &arguments, outcome(function, changed, value));
                    calls += 1;
                }
            }
        }
    }
    assert!(calls > 0, "no function begins with {prefixes:?}");
}

fn wild_pointers_to_arguments_and_environment(subject: &Subject) {
    hostile(subject, &["args_", "environ_"]);
}

fn wild_pointers_to_clocks(subject: &Subject) {
    hostile(subject, &["clock_"]);
}

fn wild_pointers_to_descriptors(subject: &Subject) {
    hostile(subject, &["fd_"]);
}

fn wild_pointers_to_paths(subject: &Subject) {
    hostile(subject, &["path_"]);
}

fn wild_pointers_to_sockets(subject: &Subject) {
    hostile(subject, &["sock_"]);
}

fn wild_pointers_to_polls(subject: &Subject) {
    hostile(subject, &["poll_"]);
}

fn wild_pointers_to_random_bytes_and_the_process(subject: &Subject) {
    hostile(subject, &["random_", "proc_", "sched_"]);
}

fn every_argument_wild_at_once(subject: &Subject) {
    // A bad descriptor is reported before a bad pointer, and a bad number before both.
    for module in MODULES {
        let host = subject.host(caller(module, ""));
        for (number, function) in FUNCTIONS.iter().enumerate() {
            for value in [-1, 0x7fff_ffff, i64::from(i32::MIN)] {
                let arguments = vec![value; function.params.len()];
                let changed: Vec<_> = (0..arguments.len()).map(|at| outcome(function, at, value)).collect();
                let chosen = changed.iter().copied().find(|one| {
                    matches!(one, Outcome::Errno(errno) if *errno != function.errno)
                        || matches!(one, Outcome::Exit(_))
                });
                let trap = changed.contains(&Outcome::Trap).then_some(Outcome::Trap);
                check(&host, number, &arguments, chosen.or(trap).unwrap_or(Outcome::Errno(function.errno)));
            }
        }
    }
}

fn every_function_without_a_byte_of_memory(subject: &Subject) {
    // A memory of no pages: every pointer is wild, except for an empty span. The guest cannot
    // answer, so it returns whether the error number was the expected one.
    for module in MODULES {
        for Function { name, params, errno } in FUNCTIONS {
            let types: String = params.iter().map(|(_, role, _)| format!(" {}", role.ty())).collect();
            let arguments: String =
                params.iter().map(|(_, role, value)| format!(" ({}.const {value})", role.ty())).collect();
            let (result, call) = match *name {
                "proc_exit" => ("", format!("(call $f{arguments}) unreachable")),
                _ => ("(result i32)", format!("(i32.eq (call $f{arguments}) (i32.const {errno}))")),
            };
            let guest = Guest::module(&format!(
                r#"(module
                     (func $f (import {module:?} {name:?}) (param{types}) {result})
                     (memory (export "memory") 0)
                     (func (export "__guest_call") (param i32 i32) (result i32) {call}))"#
            ));
            let host = subject.host(guest.wasi_params(world()));
            let error = host.call("run", b"").unwrap_err();
            let spans = params.iter().any(|(_, role, _)| matches!(role, Role::Span(1..) | Role::Length(_)));
            if *name == "proc_exit" {
                Failure::TRAPPED.check(&error);
                assert_eq!(error.exit_code(), Some(params[0].2 as i32));
            } else if spans {
                Failure::TRAPPED.check(&error);
                says(&error, &[name, "outside"]);
            } else {
                // It returned 1 and set nothing, so the error number was the expected one.
                Failure::MISBEHAVED.check(&error);
            }
        }
    }
}

fn every_function_in_a_start_section(subject: &Subject) {
    // Memory exists, but the host has not seen it yet. The first argument that is a pointer is
    // wild.
    for (number, function) in FUNCTIONS.iter().enumerate() {
        let mut arguments: Vec<i64> = function.params.iter().map(|(_, _, value)| *value).collect();
        let wild = function.params.iter().position(|(_, role, _)| matches!(role, Role::Span(1..)));
        if let Some(wild) = wild {
            arguments[wild] = END - 1;
        }
        let wild = wild.filter(|at| outcome(function, *at, END - 1) == Outcome::Trap);
        let expected = function.errno;
        let code = payload(number, &arguments).iter().fold(String::new(), |mut text, byte| {
            write!(text, "\\{byte:02x}").unwrap();
            text
        });
        let more = format!(
            "(start $go)
             (func $go (if (i32.ne (call $dispatch) (i32.const {expected})) (then unreachable)))
             (data (i32.const 0) \"{code}\")"
        );
        let guest = caller(MODULES[number % 2], &more);
        if function.name == "proc_exit" || wild.is_some() {
            let error = subject.refuses(guest, Failure::INIT_FAILED);
            let expected: &[&str] =
                if function.name == "proc_exit" { &["exit"] } else { &[function.name, "outside"] };
            says(&error, expected);
        } else {
            assert_eq!(subject.host(guest).count(), 1, "{}", function.name);
        }
    }
}
