//! A thousand replacements, one in five of them with a bad module.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use antiphon::Request;
use antiphon::errors::ErrorKind;

use super::{figures, scale};
use crate::load::stress::deadline::MODES;
use crate::suite::{Case, Guest, Job, Need, Subject, case};
use crate::support::{Failure, Process, cause};

pub(super) const CASES: &[Case] =
    &[case!(replace::a_thousand_replacements_leave_nothing).only(MODES).needs(&[Need::Suspend])];

/// Replacements at a scale of 1. After a fifth of them memory must be flat.
const REPLACEMENTS: usize = 200;
const CALLERS: usize = 4;

/// By how much resident memory may grow from then on.
const FLAT: u64 = 2 << 20;

/// Returns a guest that answers with its version, a byte, and the request.
fn version(number: u8, start: &str) -> Vec<u8> {
    Guest::new(&format!(
        "{start}
         (func $run (param $op i32) (param $msg i32) (result i32)
           (call $guest_request (i32.const 256) (i32.const 1025))
           (i32.store8 (i32.const 1024) (i32.const {number}))
           (call $answer (i32.const 1024) (i32.add (local.get $msg) (i32.const 1))))"
    ))
    .module
    .bytes
}

fn a_thousand_replacements_leave_nothing(subject: &Subject) {
    let versions = [version(0, ""), version(1, ""), version(2, "")];
    let trapping = version(3, r#"(func (export "wapc_init") unreachable)"#);
    let total = REPLACEMENTS * scale().min(5);

    let host = subject.host(Guest::binary(versions[0].clone()));
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (host, stop, calls) = (host.clone(), Arc::clone(&stop), Arc::clone(&calls));
            Job::start(subject.mode(), async move {
                for call in 0u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let sent = format!("caller {caller}, call {call}");
                    let answer = host.call_later(Request::new("run", sent.as_bytes())).await;
                    let answer = answer.expect("a call beside replacements").payload;
                    assert!(answer[0] <= 2, "version {} answers", answer[0]);
                    assert_eq!(&answer[1..], sent.as_bytes());
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let mut memory = Vec::with_capacity(total);
    for number in 0..total {
        if number % 5 == 4 {
            let (module, why) = match number % 2 {
                0 => (&versions[1][..versions[1].len() / 2], ErrorKind::InvalidModule),
                _ => (&trapping[..], ErrorKind::InitFailed),
            };
            let error = host.replace(module).unwrap_err();
            Failure::REPLACE_FAILED.check(&error);
            assert_eq!(cause(&error).kind(), why, "{error:#?}");
        } else {
            host.replace(&versions[number % 3]).unwrap();
        }
        memory.extend(Process::now().map(|process| process.resident));
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join();
    }
    assert_eq!(host.answer("run", b"end")[1..], *b"end");
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls > 0, "no call was made");
    figures(format_args!("{total} replacements, {} of them bad, beside {calls} calls", total / 5));

    if memory.len() == total {
        let (early, late) = (lowest(&memory, total / 5), lowest(&memory, total * 9 / 10));
        let kib = |bytes: u64| bytes / 1024;
        figures(format_args!(
            "resident memory {} KiB at first, {} KiB from {} on, {} KiB from {} on",
            kib(memory[0]),
            kib(early),
            total / 5,
            kib(late),
            total * 9 / 10
        ));
        assert!(late <= early + FLAT, "memory: {} KiB, then {} KiB", kib(early), kib(late));
    }
}

/// Returns the lowest of a tenth of all measurements: during a replacement both modules are in
/// memory, and a call may hold pages for a moment.
fn lowest(memory: &[u64], from: usize) -> u64 {
    memory[from..from + memory.len() / 10].iter().copied().min().unwrap_or_default()
}
