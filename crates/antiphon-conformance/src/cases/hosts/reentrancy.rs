//! A handler that calls the host whose guest it answers.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Phase};
use antiphon::{Caller, Limits, Request};

use crate::cases::RELAY;
use crate::suite::{Case, Guest, Host, Need, Subject, case};
use crate::support::{Answer, Failure, cause, deadline_in, runtime, soon, timed};

pub(super) const CASES: &[Case] = &[
    case!(reentrancy::a_handler_that_calls_its_own_host_is_refused_at_once),
    case!(reentrancy::through_another_host_it_is_refused_at_once),
    case!(reentrancy::a_handler_that_replaces_its_own_module_is_refused_at_once),
    case!(reentrancy::from_a_task_of_its_own_the_inner_call_ends_by_its_deadline),
    case!(reentrancy::from_a_task_of_its_own_with_the_caller_it_is_refused_at_once),
    case!(reentrancy::an_inner_call_ends_with_the_outer_deadline).needs(&[Need::Deadline]),
    case!(reentrancy::a_chain_of_hosts_ends_at_its_depth),
    case!(reentrancy::outside_a_handler_the_host_is_free_again),
];

/// A host whose handler has a handle to it, and the results of the handler's inner calls.
struct Knot {
    host: Host,
    inner: Arc<Mutex<Vec<Ended>>>,
}

type Ended = Result<Vec<u8>, Error>;

type Inner = antiphon::BoxFuture<'static, Ended>;

/// Starts the host. Its handler makes `call`, then answers `went on` whatever the result.
fn tie(
    subject: &Subject,
    guest: Guest,
    call: impl Fn(Host, antiphon::HostCall<'_>) -> Inner + Send + Sync + 'static,
) -> Knot {
    let inner = Arc::new(Mutex::new(Vec::new()));
    let (results, own) = (Arc::clone(&inner), Arc::new(OnceLock::<Host>::new()));
    let known = Arc::clone(&own);
    let host = subject.host(guest.handler(move |host_call| {
        let result = call(known.get().expect("the host is known").clone(), host_call);
        let results = Arc::clone(&results);
        Answer::Later(Box::pin(async move {
            let result = result.await;
            results.lock().unwrap().push(result);
            Ok("went on".into())
        }))
    }));
    assert!(own.set(host.clone()).is_ok());
    Knot { host, inner }
}

impl Knot {
    /// Checks that the outer call succeeds, and that the inner calls were refused at once as
    /// reentrant.
    #[track_caller]
    fn check(&self) {
        let (answer, elapsed) = timed(|| self.host.answer("run", b"outer"));
        assert_eq!(answer, b"went on");
        soon(elapsed, Duration::ZERO);
        let inner = std::mem::take(&mut *self.inner.lock().unwrap());
        assert!(!inner.is_empty(), "the handler was not called");
        for result in inner {
            Failure::REENTRANCY.check(&result.unwrap_err());
        }
        // The instance was kept, and the inner calls never reached it.
        self.host.counted(2);
    }
}

async fn payload_of(host: &Host, request: Request<'_>) -> Ended {
    Ok(host.call_later(request).await?.payload)
}

fn a_handler_that_calls_its_own_host_is_refused_at_once(subject: &Subject) {
    let knot = tie(subject, Guest::new(RELAY), |host, _| {
        Box::pin(async move { payload_of(&host, Request::new("run", b"inner")).await })
    });
    knot.check();
}

fn through_another_host_it_is_refused_at_once(subject: &Subject) {
    // The handler of the first host calls the second, whose handler calls the first.
    let first = Arc::new(OnceLock::<Host>::new());
    let known = Arc::clone(&first);
    let results = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&results);
    let second = subject.host(Guest::new(RELAY).handler(move |_| {
        let (first, results) = (known.get().unwrap().clone(), Arc::clone(&results));
        Answer::Later(Box::pin(async move {
            let result = payload_of(&first, Request::new("run", b"inner")).await;
            results.lock().unwrap().push(result);
            Ok("back".into())
        }))
    }));
    let host = subject.host(Guest::new(RELAY).handler(move |_| {
        let second = second.clone();
        Answer::Later(Box::pin(async move {
            let answer = payload_of(&second, Request::new("run", b"second")).await;
            assert_eq!(answer.unwrap(), b"back");
            Ok("went on".into())
        }))
    }));
    assert!(first.set(host.clone()).is_ok());
    Knot { host, inner }.check();
}

fn a_handler_that_replaces_its_own_module_is_refused_at_once(subject: &Subject) {
    let other = Guest::new(crate::cases::ECHO).module.bytes;
    let knot = tie(subject, Guest::new(RELAY), move |host, _| {
        let other = other.clone();
        Box::pin(async move { host.replace_later(&other).await.map(|()| Vec::new()) })
    });
    // Not timed: the new module is compiled first.
    assert_eq!(knot.host.answer("run", b"outer"), b"went on");
    let error = knot.inner.lock().unwrap().pop().unwrap().unwrap_err();
    Failure::REPLACE_FAILED.check(&error);
    assert_eq!(cause(&error).kind(), ErrorKind::Reentrancy);
    knot.host.counted(2);
}

/// Makes a handler's call on another task or another thread.
fn elsewhere(host: Host, call: impl Future<Output = Ended> + Send + 'static) -> Inner {
    match host {
        Host::Sync(_) => {
            let thread = thread::spawn(move || antiphon::block_on(call));
            Box::pin(async move { thread.join().unwrap() })
        }
        Host::Async(_) => {
            let task = runtime().spawn(call);
            Box::pin(async move { task.await.unwrap() })
        }
    }
}

fn from_a_task_of_its_own_the_inner_call_ends_by_its_deadline(subject: &Subject) {
    let knot = tie(subject, Guest::new(RELAY), |host, _| {
        let own = host.clone();
        elsewhere(host, async move {
            let request = Request::new("run", b"inner").deadline(Duration::from_millis(200));
            payload_of(&own, request).await
        })
    });
    assert_eq!(knot.host.answer("run", b"outer"), b"went on");
    let error = knot.inner.lock().unwrap().pop().unwrap().unwrap_err();
    Failure::DEADLINE_BEFORE.check(&error);
    deadline_in(&error, Phase::Queue);
    knot.host.counted(2);
}

fn from_a_task_of_its_own_with_the_caller_it_is_refused_at_once(subject: &Subject) {
    let knot = tie(subject, Guest::new(RELAY), |host, call| {
        let (own, caller) = (host.clone(), call.caller());
        assert_eq!(caller.depth(), 1);
        elsewhere(host, async move { payload_of(&own, Request::new("run", b"inner").caller(caller)).await })
    });
    knot.check();
}

fn an_inner_call_ends_with_the_outer_deadline(subject: &Subject) {
    // The inner host spins. Its call is made on behalf of the outer one and so has that one's
    // deadline.
    let spinning =
        subject.host(Guest::new(crate::cases::SPIN).limits(Limits::new().deadline(Duration::from_secs(60))));
    let results = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&results);
    let outer = subject.host(Guest::new(RELAY).handler(move |call| {
        let (host, caller, results) = (spinning.clone(), call.caller(), Arc::clone(&results));
        Answer::Later(Box::pin(async move {
            let result = payload_of(&host, Request::new("run", b"").caller(caller)).await;
            results.lock().unwrap().push(result);
            Ok("late".into())
        }))
    }));
    let deadline = Duration::from_millis(150);
    let (error, elapsed) =
        timed(|| outer.call_with(Request::new("run", b"").deadline(deadline)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    soon(elapsed, deadline);
    // An asynchronous handler may have been dropped before it could report.
    for result in inner.lock().unwrap().drain(..) {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }
    outer.counted(1);
}

fn a_chain_of_hosts_ends_at_its_depth(subject: &Subject) {
    // Each handler calls the next host through its caller and records its depth; one of these calls
    // is refused.
    let (depths, refusals) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let mut next: Option<Host> = None;
    for _ in 0..Caller::MAX_DEPTH + 2 {
        let inner = next.take();
        let (depths, refusals) = (Arc::clone(&depths), Arc::clone(&refusals));
        next = Some(subject.host(Guest::new(RELAY).patient().handler(move |call| {
            let (caller, inner, refusals) = (call.caller(), inner.clone(), Arc::clone(&refusals));
            depths.lock().unwrap().push(caller.depth());
            Answer::Later(Box::pin(async move {
                let inner = inner.expect("the last host is never called");
                match payload_of(&inner, Request::new("run", b"in").caller(caller)).await {
                    Ok(answer) => Ok(answer.into()),
                    Err(error) => {
                        refusals.lock().unwrap().push((inner, error));
                        Ok("the end".into())
                    }
                }
            }))
        })));
    }
    let first = next.unwrap();
    assert_eq!(first.answer("run", b"in"), b"the end");
    assert_eq!(*depths.lock().unwrap(), (1..=Caller::MAX_DEPTH + 1).collect::<Vec<_>>());
    let (inner, error) = refusals.lock().unwrap().pop().unwrap();
    Failure::REENTRANCY.check(&error);
    let exceeded = error.exceeded().unwrap();
    assert_eq!((exceeded.limit, exceeded.allowed, exceeded.used), ("depth", 8, 9));
    // The host whose call was too deep is unharmed.
    inner.counted(1);
    first.counted(2);
}

fn outside_a_handler_the_host_is_free_again(subject: &Subject) {
    let knot = tie(subject, Guest::new(RELAY), |host, _| {
        Box::pin(async move { payload_of(&host, Request::new("run", b"inner")).await })
    });
    knot.check();
    // This thread calls again: the handler's mark on it is gone.
    for _ in 0..3 {
        assert_eq!(knot.host.answer("run", b"outer"), b"went on");
    }
}
