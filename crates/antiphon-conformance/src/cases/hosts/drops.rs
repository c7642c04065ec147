//! Parts of calls that are dropped in bad places: on other threads, in the middle of a call, and
//! with a panic.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::thread;

use antiphon::{BoxFuture, Bytes, Context, Request, WapcHostAsync};

use crate::cases::{ECHO, RELAY, echo};
use crate::suite::{Case, Guest, Host, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, panic_quietly, runtime, says};

pub(super) const CASES: &[Case] = &[
    case!(drops::a_call_that_is_polled_on_another_thread_each_time_keeps_its_payload)
        .needs(&[Need::Suspend])
        .only(Mode::ASYNC),
    case!(drops::a_call_that_is_dropped_on_another_thread_leaves_nothing_on_either)
        .needs(&[Need::Suspend])
        .only(Mode::ASYNC),
    case!(drops::a_handler_whose_future_panics_when_it_is_dropped_costs_the_instance)
        .needs(&[Need::Suspend])
        .only(Mode::ASYNC),
    case!(drops::a_context_that_panics_when_it_is_dropped_leaves_the_host_as_it_was),
    case!(drops::a_reader_may_call_other_hosts_and_read_their_answers_in_place).only(&[Mode::Sync]),
];

/// Asks for its payload before and after a host call, and answers with what it got the second time.
const TWICE: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (call $guest_request (i32.const 256) (i32.const 1024))
    (drop (call $ask (i32.const 1024) (i32.const 8)))
    (call $guest_request (i32.const 256) (i32.const 32768))
    (call $answer (i32.const 32768) (local.get $msg)))
"#;

/// Returns a handler that is pending for some polls and wakes its task in each.
fn pending_for(polls: u32) -> Answer {
    let mut left = polls;
    Answer::Later(Box::pin(poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        match left.checked_sub(1) {
            None => Poll::Ready(Ok(Bytes::from_static(b"at last"))),
            Some(fewer) => {
                left = fewer;
                Poll::Pending
            }
        }
    })))
}

fn start(subject: &Subject, guest: Guest) -> Arc<WapcHostAsync> {
    Arc::new(runtime().block_on(subject.start_async(guest)).unwrap())
}

type Call = BoxFuture<'static, Result<Vec<u8>, antiphon::errors::Error>>;

/// Makes a future of its own for a call with a borrowed payload.
fn call(host: &Arc<WapcHostAsync>, payload: Vec<u8>) -> Call {
    let host = Arc::clone(host);
    Box::pin(async move { host.call("run", &payload).await })
}

/// Polls a call on a new thread.
fn poll_elsewhere(mut call: Call) -> Result<Result<Vec<u8>, antiphon::errors::Error>, Call> {
    let thread = thread::spawn(move || match call.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(ended) => Ok(ended),
        Poll::Pending => Err(call),
    });
    thread.join().unwrap()
}

fn payload(length: usize, first: u8) -> Vec<u8> {
    (0..=250).map(|byte: u8| byte.wrapping_add(first)).cycle().take(length).collect()
}

fn a_call_that_is_polled_on_another_thread_each_time_keeps_its_payload(subject: &Subject) {
    let host = start(subject, Guest::new(TWICE).patient().handler(|_| pending_for(20)));
    for length in [512, 513, 30_000] {
        let mut call = call(&host, payload(length, 7));
        let (answer, polls) = (0..)
            .find_map(|polls| {
                // Between its polls, this thread makes a call of its own with another payload.
                match poll_elsewhere(std::mem::replace(&mut call, Box::pin(std::future::pending()))) {
                    Ok(ended) => return Some((ended.unwrap(), polls)),
                    Err(pending) => call = pending,
                }
                None
            })
            .unwrap();
        assert!(answer == payload(length, 7), "{length} bytes came back changed");
        // An engine may poll the guest several times in one poll of the call.
        assert!(polls >= 10, "{polls} polls");
    }
}

fn a_call_that_is_dropped_on_another_thread_leaves_nothing_on_either(subject: &Subject) {
    let host = start(subject, Guest::new(TWICE).patient().handler(|_| pending_for(30)));
    for polls in 1..=3 {
        let mut dropped = call(&host, payload(20_000, 1));
        for _ in 0..polls {
            let Err(pending) = poll_elsewhere(dropped) else { panic!("it has ended by now") };
            dropped = pending;
        }
        thread::spawn(move || drop(dropped)).join().unwrap();
        let answer = runtime().block_on(call(&host, payload(10_000, 2))).unwrap();
        assert!(answer == payload(10_000, 2), "the payload of another call");
    }
}

/// Panics when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic_quietly("stepped on a mine");
        }
    }
}

fn a_handler_whose_future_panics_when_it_is_dropped_costs_the_instance(subject: &Subject) {
    // The future is dropped when it has answered, or when the deadline of its call passes.
    let host = subject.host(Guest::new(RELAY).handler(|call| {
        let (mine, ends) = (Mine, call.payload.is_empty());
        let mut held = Some(mine);
        Answer::Later(Box::pin(poll_fn(move |_| {
            let _mine = &mut held;
            if ends { Poll::Ready(Ok(Bytes::from_static(b"done"))) } else { Poll::Pending }
        })))
    }));
    says(host.fails("run", b"", Failure::HOST_PANICKED), &["stepped on a mine"]);
    let late = Request::new("run", b"wait").deadline(std::time::Duration::from_millis(50));
    says(host.fails_with(late, Failure::HOST_PANICKED), &["stepped on a mine"]);
}

fn a_context_that_panics_when_it_is_dropped_leaves_the_host_as_it_was(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).answers(echo));
    for _ in 0..2 {
        let mut context = Context::new();
        context.insert(Mine);
        let request = Request::new("run", b"with a mine").context(context).usage(true);
        let panic = catch_unwind(AssertUnwindSafe(|| host.call_with(request))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"stepped on a mine"));
        assert_eq!(host.answer("run", b"without"), b"without");
        let usage = host.call_with(Request::new("run", b"")).unwrap().usage;
        assert!(usage.is_none(), "what the last call asked for");
    }
}

fn a_reader_may_call_other_hosts_and_read_their_answers_in_place(subject: &Subject) {
    let [outer, inner] = [(), ()].map(|()| subject.host(Guest::new(ECHO)));
    let (Host::Sync(outer), Host::Sync(inner)) = (&outer, &inner) else { unreachable!("a synchronous mode") };
    let read = outer.call_ref(Request::new("echo", payload(9_000, 3).as_slice()), |outer_answer| {
        let kept = inner.call("echo", &payload(8_000, 4)).unwrap();
        let length = inner.call_ref(Request::new("echo", payload(7_000, 5).as_slice()), <[u8]>::len).unwrap();
        (outer_answer.to_vec(), kept, length)
    });
    let (own, kept, length) = read.unwrap();
    assert!(own == payload(9_000, 3) && kept == payload(8_000, 4));
    assert_eq!(length, 7_000);
}
