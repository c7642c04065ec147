//! A provider written for `wapc` 2.2, in both modes, with nothing changed but the crate's name.

use std::error::Error as _;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Fate, Result};
use antiphon::{Limits, Request, WapcHost, WapcHostAsync, block_on};

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    unreachable_pub,
    reason = "it stands for code of others, who have their own habits"
)]
#[path = "../foreign/provider.rs"]
mod provider;

use provider::{ScriptProvider, ScriptProviderAsync, Step};

/// A host of either kind, whose guest runs the same script.
enum Host {
    Sync(WapcHost),
    Async(WapcHostAsync),
}

fn answer(op: &str, payload: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    match op {
        "refuse" => Err("not today".into()),
        "panic" => panic!("the callback is broken"),
        _ => Ok([op.as_bytes(), b":", payload].concat()),
    }
}

impl Host {
    fn both(script: &[Step], limits: Limits) -> [Self; 2] {
        struct Handler;

        impl antiphon::HostHandler for Handler {
            fn handle(
                &self,
                call: antiphon::HostCall<'_>,
            ) -> Result<antiphon::Bytes, antiphon::HostCallError> {
                Ok(answer(call.operation, call.payload)?.into())
            }
        }

        #[antiphon::async_trait]
        impl antiphon::HostHandlerAsync for Handler {
            async fn handle(
                &self,
                call: antiphon::HostCall<'_>,
            ) -> Result<antiphon::Bytes, antiphon::HostCallError> {
                if call.operation == "never" {
                    std::future::pending::<()>().await;
                }
                Ok(answer(call.operation, call.payload)?.into())
            }
        }

        let sync = WapcHost::builder(Box::new(ScriptProvider::new(script))).limits(limits).handler(Handler);
        let asynchronous = WapcHostAsync::builder(Box::new(ScriptProviderAsync::new(script)))
            .limits(limits)
            .handler(Handler);
        [Self::Sync(sync.build().unwrap()), Self::Async(block_on(asynchronous.build()).unwrap())]
    }

    fn call(&self, op: &str, payload: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Sync(host) => host.call(op, payload),
            Self::Async(host) => block_on(host.call(op, payload)),
        }
    }

    fn replace(&self, module: &[u8]) -> Result<()> {
        match self {
            Self::Sync(host) => host.replace_module(module),
            Self::Async(host) => block_on(host.replace_module(module)),
        }
    }
}

fn hosts(script: &[Step]) -> [Host; 2] {
    Host::both(script, Limits::new())
}

#[test]
fn requests_responses_errors_and_host_calls_go_through_the_state() {
    for host in hosts(&[Step::Log("hello"), Step::Echo]) {
        assert_eq!(host.call("op", b"payload").unwrap(), b"payload");
        assert_eq!(host.call("op", b"").unwrap(), b"");
        let large = vec![7; 100_000];
        assert!(host.call("op", &large).unwrap() == large);
    }
    for host in hosts(&[Step::Operation]) {
        assert_eq!(host.call("an operation", b"").unwrap(), b"an operation");
    }
    for host in hosts(&[Step::HostCall]) {
        assert_eq!(host.call("ask", b"?").unwrap(), b"ask:?");
        let error = host.call("refuse", b"?").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::GuestFailed, Fate::Kept));
        assert_eq!(error.to_string(), "Guest call failure: not today");
    }
    for host in hosts(&[Step::Fail("the guest's text")]) {
        assert_eq!(host.call("op", b"").unwrap_err().to_string(), "Guest call failure: the guest's text");
    }
    for host in hosts(&[Step::Nothing]) {
        assert_eq!(host.call("op", b"").unwrap_err().kind(), ErrorKind::GuestMisbehaved);
    }
}

#[test]
fn an_untyped_error_of_the_provider_is_the_source_of_ours_and_costs_the_instance() {
    for host in hosts(&[Step::Count]) {
        assert_eq!((host.call("a", b"").unwrap(), host.call("b", b"").unwrap()), (vec![1], vec![2]));
    }
    for host in hosts(&[Step::Count, Step::Trap]) {
        for _ in 0..2 {
            let error = host.call("op", b"").unwrap_err();
            assert_eq!((error.kind(), error.fate()), (ErrorKind::Engine, Fate::Discarded));
            assert_eq!(error.source().unwrap().to_string(), "wasm trap: unreachable");
        }
    }
}

#[test]
fn a_callback_that_panics_is_typed_and_costs_the_instance() {
    for host in hosts(&[Step::HostCall, Step::Count]) {
        assert_eq!(host.call("fine", b"").unwrap(), [1]);
        let error = host.call("panic", b"").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::HostPanicked, Fate::Discarded));
        assert_eq!(error.message(), "a handler of the host panicked: the callback is broken");
        assert_eq!(host.call("fine", b"").unwrap(), [1], "a fresh instance counts from one");
    }
}

#[test]
fn limits_hold_for_a_provider_that_knows_none() {
    let limits = Limits::new().response(100).request(10).host_calls(2).name(4);
    for host in Host::both(&[Step::Answer(101)], limits) {
        let error = host.call("op", b"").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::TooLarge, Fate::Discarded));
    }
    for host in Host::both(&[Step::Echo], limits) {
        let error = host.call("op", &[0; 11]).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::TooLarge, Fate::Kept));
        assert_eq!(host.call("name5", b"").unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(host.call("op", &[7; 10]).unwrap(), [7; 10]);
    }
    for host in Host::both(&[Step::HostCall; 3], Limits::new().host_calls(2)) {
        assert_eq!(host.call("op", b"").unwrap_err().kind(), ErrorKind::HostCallLimit);
    }
}

#[test]
fn the_budget_of_a_route_is_for_one_call_of_such_a_provider_too() {
    let script = [Step::HostCall; 3];
    let router = |calls| {
        let answer = antiphon::handler_fn(|call| Ok(antiphon::Bytes::copy_from_slice(call.payload)));
        antiphon::HostRouter::new().route(antiphon::Route::any().max_calls(calls).handler(answer))
    };
    let hosts = |calls| {
        let sync = WapcHost::builder(Box::new(ScriptProvider::new(&script))).handler(router(calls));
        let later =
            WapcHostAsync::builder(Box::new(ScriptProviderAsync::new(&script))).handler(router(calls));
        [Host::Sync(sync.build().unwrap()), Host::Async(block_on(later.build()).unwrap())]
    };
    for host in hosts(3) {
        for _ in 0..2 {
            assert_eq!(host.call("op", b"payload").unwrap(), b"payload");
        }
    }
    for host in hosts(2) {
        for _ in 0..2 {
            let error = host.call("op", b"").unwrap_err();
            assert_eq!((error.kind(), error.fate()), (ErrorKind::GuestFailed, Fate::Kept));
            assert!(error.guest_error().unwrap().contains("the budget of 2 calls"), "{error}");
        }
    }
}

#[test]
fn a_handler_that_never_answers_ends_at_the_deadline() {
    let [_, host] = Host::both(&[Step::HostCall], Limits::new().deadline(Duration::from_millis(40)));
    let started = std::time::Instant::now();
    let error = host.call("never", b"").unwrap_err();
    assert!(error.is_deadline(), "{error:?}");
    // Up to 1 ms early, where the tick that it is counted from came late.
    assert!(started.elapsed() >= Duration::from_millis(39), "{:?}", started.elapsed());
    assert_eq!(error.to_string(), "Guest call failure: guest code interrupted, execution deadline exceeded");
    assert_eq!(host.call("fine", b"!").unwrap(), b"fine:!");
}

#[test]
fn replace_swaps_the_module_and_a_refused_one_changes_nothing() {
    for host in hosts(&[Step::Operation]) {
        host.replace(b"count").unwrap();
        assert_eq!((host.call("a", b"").unwrap(), host.call("b", b"").unwrap()), (vec![1], vec![2]));
        let error = host.replace(b"garbage").unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::ReplaceFailed, Fate::Kept));
        assert_eq!(error.source().unwrap().downcast_ref::<Error>().unwrap().message(), "unknown module");
        assert_eq!(host.call("c", b"").unwrap(), [3], "the old instance serves on, as it was");
    }
}

#[test]
fn an_answer_is_read_in_place_and_a_reader_that_panics_or_calls_its_host_is_refused() {
    let [Host::Sync(host), _] = hosts(&[Step::Echo]) else { unreachable!("the first is synchronous") };
    assert_eq!(host.call_ref(Request::new("op", b"payload"), <[u8]>::len).unwrap(), 7);
    let inner = host.call_ref(Request::new("op", b""), |_| host.call("op", b"").unwrap_err().kind());
    assert_eq!(inner.unwrap(), ErrorKind::Reentrancy);
    let error = host.call_ref(Request::new("op", b""), |_| panic!("broken reader")).unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::HostPanicked, Fate::Discarded));
    assert_eq!(host.call("op", b"again").unwrap(), b"again");
}

#[test]
fn a_buffer_that_the_caller_brings_is_empty_after_every_error() {
    let [Host::Sync(host), _] = Host::both(&[Step::Echo], Limits::new().request(4)) else {
        unreachable!("the first is synchronous")
    };
    let mut answer = b"of the call before".to_vec();
    assert_eq!(host.call_into("op", b"too long", &mut answer).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(answer, b"");
    assert_eq!(host.call_into("op", b"fits", &mut answer).unwrap(), 4);
    assert_eq!(answer, b"fits");
}

#[test]
fn what_a_caller_brings_does_not_outlive_its_call() {
    let [Host::Sync(host), _] = hosts(&[Step::Echo]) else { unreachable!("the first is synchronous") };
    let permit = std::sync::Arc::new(());
    let context = antiphon::Context::new().with(std::sync::Arc::clone(&permit));
    host.call_with(Request::new("op", vec![1]).context(context)).unwrap();
    assert_eq!(std::sync::Arc::strong_count(&permit), 1);
}

#[test]
fn a_handler_that_panics_before_it_returns_its_future_is_caught() {
    struct Eager;

    impl antiphon::HostHandlerAsync for Eager {
        fn handle<'a, 'c, 'f>(
            &'a self,
            _call: antiphon::HostCall<'c>,
        ) -> antiphon::BoxFuture<'f, Result<antiphon::Bytes, antiphon::HostCallError>>
        where
            'a: 'f,
            'c: 'f,
            Self: 'f,
        {
            panic!("eagerly")
        }
    }

    let engine = ScriptProviderAsync::new(&[Step::HostCall]);
    let host = block_on(WapcHostAsync::builder(Box::new(engine)).handler(Eager).build()).unwrap();
    assert_eq!(block_on(host.call("op", b"")).unwrap_err().kind(), ErrorKind::HostPanicked);
}

#[test]
fn a_caller_kept_after_its_handler_ended_is_no_reentrancy() {
    struct Keeping(std::sync::Mutex<Option<antiphon::Caller>>);

    impl antiphon::HostHandler for &'static Keeping {
        fn handle(&self, call: antiphon::HostCall<'_>) -> Result<antiphon::Bytes, antiphon::HostCallError> {
            if call.operation == "slow" {
                std::thread::sleep(Duration::from_millis(100));
            } else {
                *self.0.lock().unwrap() = Some(call.caller());
            }
            Ok(antiphon::Bytes::new())
        }
    }

    let kept: &'static Keeping = Box::leak(Box::new(Keeping(std::sync::Mutex::new(None))));
    let engine = ScriptProvider::new(&[Step::HostCall]);
    let host = WapcHost::builder(Box::new(engine)).handler(kept).build().unwrap();
    host.call("keep", b"").unwrap();
    let caller = kept.0.lock().unwrap().take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| host.call("slow", b"").unwrap());
        std::thread::sleep(Duration::from_millis(20));
        // The host is busy with another caller's call: this one waits for its turn.
        host.call_with(Request::new("slow", b"").caller(caller)).unwrap();
    });
}

#[test]
fn usage_is_measured_only_where_asked() {
    let [Host::Sync(host), _] = hosts(&[Step::HostCall]) else { unreachable!("the first is synchronous") };
    assert_eq!(host.call_with(Request::new("op", b"12")).unwrap().usage, None);
    let usage = host.call_with(Request::new("op", b"12").usage(true)).unwrap().usage.unwrap();
    assert_eq!((usage.host_calls, usage.bytes_in, usage.bytes_out), (1, 2 + 5, 5 + 2));
}
