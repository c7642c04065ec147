//! Runs the policy server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compat::guests::{self, TOOLBOX, number};
use compat::policy_server::{Context, EvaluationError, Policy, Server};
use wasmtime_provider::EpochDeadlines;

const TICK: Duration = Duration::from_millis(10);

/// Returns a context that answers with its request and the call's arguments.
fn context(request: impl Into<String>) -> Context {
    Context {
        request: request.into(),
        capability: Arc::new(|context, operation, payload| match payload {
            b"secret" => Err(format!("{} may not see this", context.request).into()),
            _ => Ok([context.request.as_bytes(), b" ", operation.as_bytes(), b" ", payload].concat()),
        }),
    }
}

fn server_and_policy(wapc_func: u64) -> (Server, Policy) {
    let server = Server::new(TICK).unwrap();
    let policy = server.policy(TOOLBOX.as_bytes(), EpochDeadlines { wapc_init: 500, wapc_func }).unwrap();
    (server, policy)
}

#[test]
fn each_request_has_its_own_instance_and_its_own_context() {
    let (_server, policy) = server_and_policy(500);
    let seen = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let policy = policy.clone();
                scope.spawn(move || {
                    for number in 0..25 {
                        let request = format!("{thread}/{number}");
                        let evaluate = |operation, payload: &[u8]| {
                            policy.evaluate(context(&request), operation, payload)
                        };
                        let answer = evaluate("host_validate", request.as_bytes()).unwrap();
                        assert_eq!(answer, format!("{request} host_validate {request}").into_bytes());
                        let refused = evaluate("host_validate", b"secret").unwrap_err();
                        let text = format!("Guest call failure: {request} may not see this");
                        assert_eq!(refused, EvaluationError::Policy(text));
                        assert_eq!(self::number(&evaluate("count", b"").unwrap()), 1);
                    }
                    25
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    assert_eq!(seen, 200);
}

#[test]
fn a_policy_that_loops_is_interrupted_while_others_are_served() {
    let (_server, policy) = server_and_policy(100);
    std::thread::scope(|scope| {
        let loopers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let host = policy.instance(context("looper")).unwrap();
                    let started = Instant::now();
                    let error = host.call("loop", b"").unwrap_err();
                    (started.elapsed(), error.to_string(), Instant::now())
                })
            })
            .collect();
        let mut served = Vec::new();
        while loopers.iter().any(|looper| !looper.is_finished()) {
            let answer = policy.evaluate(context("honest"), "host_validate", b"?").unwrap();
            assert_eq!(answer, b"honest host_validate ?");
            served.push(Instant::now());
        }
        for looper in loopers {
            let (took, text, ended) = looper.join().unwrap();
            assert_eq!(text, "Guest call failure: guest code interrupted, execution deadline exceeded");
            assert!(took >= 99 * TICK, "after {took:?}");
            assert!(served.iter().any(|at| *at < ended), "nobody was served meanwhile");
        }
    });
    assert_eq!(policy.evaluate(context("x"), "loop", b""), Err(EvaluationError::Interrupted));
}

#[test]
fn one_engine_serves_many_policies() {
    let (server, toolbox) = server_and_policy(500);
    let deadlines = EpochDeadlines { wapc_init: 500, wapc_func: 500 };
    let echo = server.policy(guests::echo_with("", "").as_bytes(), deadlines).unwrap();
    let sdk = server.policy(&guests::built("rust.wasm"), deadlines).unwrap();
    for _ in 0..3 {
        assert_eq!(sdk.evaluate(context("r"), "host", b"1").unwrap(), b"r echo 1");
        assert_eq!(echo.evaluate(context("r"), "host", b"1").unwrap(), b"1");
        assert_eq!(toolbox.evaluate(context("r"), "host", b"1").unwrap(), b"r host 1");
    }
    assert!(server.policy(b"garbage", deadlines).is_err());
    let broken = guests::echo_with("", r#"(func (export "wapc_init") (unreachable))"#);
    match server.policy(broken.as_bytes(), deadlines).unwrap().evaluate(context("r"), "op", b"") {
        Err(EvaluationError::Setup(text)) => assert!(text.starts_with("Initialization failed: "), "{text}"),
        other => panic!("{other:?}"),
    }
}
