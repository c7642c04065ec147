//! Many concurrent callers, of one host and of several.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use antiphon::Request;

use crate::cases::{ECHO, RELAY, echo};
use crate::suite::{Case, Guest, Host, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, runtime};

pub(super) const CASES: &[Case] = &[
    case!(concurrency::sixty_four_tasks_get_only_their_own_bytes).only(Mode::ASYNC).alone(),
    case!(concurrency::eight_threads_get_only_their_own_bytes),
    case!(concurrency::tasks_whose_handlers_wait_get_only_their_own_bytes)
        .needs(&[Need::Suspend])
        .only(&[Mode::Async]),
    case!(concurrency::callers_are_served_in_order).needs(&[Need::Suspend]).only(Mode::ASYNC),
    case!(concurrency::failing_calls_do_not_disturb_those_around_them),
    case!(concurrency::hosts_run_beside_each_other),
];

/// Returns bytes that no other call sends: length and content are unique.
fn canary(caller: usize, call: usize) -> Vec<u8> {
    let word = ((caller as u64) << 32 | call as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.into_iter().cycle().take(16 + (caller * 31 + call * 7) % 1_500).collect()
}

fn sixty_four_tasks_get_only_their_own_bytes(subject: &Subject) {
    const CALLERS: usize = 64;
    const CALLS: usize = 20_000 / CALLERS + 1;
    // Half of the calls are answered by the guest, half through the handler.
    let host = runtime().block_on(
        subject.start_async(
            Guest::new(
                r#"(func $run (param $op i32) (param $msg i32) (result i32)
                 (call $guest_request (i32.const 256) (i32.const 1024))
                 (if (i32.eq (local.get $op) (i32.const 4))
                   (then (return (call $answer (i32.const 1024) (local.get $msg)))))
                 (call $relay (call $ask (i32.const 1024) (local.get $msg))))"#,
            )
            .patient()
            .answers(echo),
        ),
    );
    let host = Arc::new(host.unwrap());
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let host = Arc::clone(&host);
            runtime().spawn(async move {
                for call in 0..CALLS {
                    let (sent, op) = (canary(caller, call), if call % 2 == 0 { "echo" } else { "relay" });
                    let got = host.call(op, &sent).await.unwrap();
                    assert!(got == sent, "caller {caller}, call {call}: another caller's bytes");
                }
            })
        })
        .collect();
    for task in tasks {
        runtime().block_on(task).unwrap();
    }
    Host::Async(host).counted((CALLERS * CALLS + 1) as i32);
}

fn eight_threads_get_only_their_own_bytes(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).patient().answers(echo));
    thread::scope(|scope| {
        for caller in 0..8 {
            let host = host.clone();
            scope.spawn(move || {
                for call in 0..500 {
                    let sent = canary(caller, call);
                    assert!(host.answer("run", &sent) == sent, "caller {caller}, call {call}");
                }
            });
        }
    });
    host.counted(4001);
}

fn tasks_whose_handlers_wait_get_only_their_own_bytes(subject: &Subject) {
    let host = runtime().block_on(subject.start_async(Guest::new(RELAY).patient().handler(|call| {
        let payload = call.payload.to_vec();
        Answer::Later(Box::pin(async move {
            for _ in 0..payload.len() % 5 {
                tokio::task::yield_now().await;
            }
            Ok(payload.into())
        }))
    })));
    let host = Arc::new(host.unwrap());
    let tasks: Vec<_> = (0..16)
        .map(|caller| {
            let host = Arc::clone(&host);
            runtime().spawn(async move {
                for call in 0..100 {
                    let sent = canary(caller, call);
                    assert!(host.call("run", &sent).await.unwrap() == sent, "caller {caller}, call {call}");
                }
            })
        })
        .collect();
    for task in tasks {
        runtime().block_on(task).unwrap();
    }
}

fn callers_are_served_in_order(subject: &Subject) {
    let served = Arc::new(Mutex::new(Vec::new()));
    let order = Arc::clone(&served);
    let guest = Guest::new(RELAY).patient().handler(move |call| {
        order.lock().unwrap().push(call.payload[0]);
        Answer::After(Duration::from_millis(1), echo(call))
    });
    // On one thread, calls queue in the order in which they are first polled.
    let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&one, async {
        let host = Arc::new(subject.start_async(guest).await.unwrap());
        let tasks: Vec<_> = (0..40u8)
            .map(|number| {
                let host = Arc::clone(&host);
                tokio::task::spawn_local(async move { host.call("run", &[number]).await })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap().unwrap(), [number as u8]);
        }
    });
    assert_eq!(*served.lock().unwrap(), (0..40).collect::<Vec<u8>>());
}

fn failing_calls_do_not_disturb_those_around_them(subject: &Subject) {
    // A payload that begins with 't' traps, with 'f' fails; any other is answered.
    let host = subject.host(
        Guest::new(
            r#"(func $run (param $op i32) (param $msg i32) (result i32)
                 (call $guest_request (i32.const 256) (i32.const 1024))
                 (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 116)) (then unreachable))
                 (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 102))
                   (then (return (call $fail (i32.const 1024) (local.get $msg)))))
                 (call $answer (i32.const 1024) (local.get $msg)))"#,
        )
        .patient(),
    );
    thread::scope(|scope| {
        for caller in 0..6usize {
            let host = &host;
            scope.spawn(move || {
                for call in 0..60 {
                    let text = format!("{} {caller} {call}", ["trap", "fail", "answer"][caller % 3]);
                    let result = host.call("run", text.as_bytes());
                    match caller % 3 {
                        0 => Failure::TRAPPED.check(&result.unwrap_err()),
                        1 => {
                            let error = result.unwrap_err();
                            Failure::GUEST_FAILED.check(&error);
                            assert_eq!(error.guest_error(), Some(text.as_str()));
                        }
                        _ => assert_eq!(result.unwrap(), text.as_bytes()),
                    }
                }
            });
        }
    });
}

fn hosts_run_beside_each_other(subject: &Subject) {
    // Each handler waits until the other host's handler runs too. If the hosts ran one after the
    // other, this would never end.
    let meeting = Arc::new(tokio::sync::Barrier::new(2));
    let guest = || {
        let meeting = Arc::clone(&meeting);
        Guest::new(RELAY).patient().handler(move |call| {
            let (meeting, payload) = (Arc::clone(&meeting), call.payload.to_vec());
            Answer::Later(Box::pin(async move {
                meeting.wait().await;
                Ok(payload.into())
            }))
        })
    };
    let hosts = [subject.host(guest()), subject.host(guest())];
    thread::scope(|scope| {
        for (number, host) in hosts.iter().enumerate() {
            scope.spawn(move || {
                let request = Request::new("run", vec![number as u8; 10]);
                assert_eq!(host.call_with(request).unwrap().payload, [number as u8; 10]);
            });
        }
    });
    let idle = subject.host(Guest::new(ECHO));
    hosts[0].counted(2);
    hosts[1].counted(2);
    idle.counted(1);
}
