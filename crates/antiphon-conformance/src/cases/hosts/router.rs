//! Host calls that a router dispatches by their names.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Bytes, Context, HostRouter, Limits, Request, Route, handler_fn};

use crate::suite::{Case, Guest, Host, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, Handler, deadline_in, panic_quietly, runtime, says, soon, timed};

pub(super) const CASES: &[Case] = &[
    case!(router::a_host_call_goes_to_the_most_specific_route),
    case!(router::what_no_route_serves_is_refused_by_name),
    case!(router::a_refusal_is_short_and_harmless),
    case!(router::a_route_without_a_handler_closes_a_part_of_a_wider_one),
    case!(router::only_listed_operations_are_allowed),
    case!(router::a_rule_sees_the_call_and_the_callers_context),
    case!(router::a_budget_of_calls_is_for_one_guest_call),
    case!(router::a_budget_of_bytes_counts_payloads_and_answers),
    case!(router::a_budget_of_time_ends_a_handler_that_waits).needs(&[Need::Deadline, Need::Suspend]),
    case!(router::the_handler_knows_what_time_its_route_has).needs(&[Need::Deadline]),
    case!(router::a_call_that_is_dropped_leaves_nothing_spent).needs(&[Need::Suspend]).only(Mode::ASYNC),
    case!(router::one_router_serves_many_hosts_each_with_budgets_of_its_own),
    case!(router::a_router_inside_another_has_budgets_of_its_own),
    case!(router::a_handler_that_waits_parks_a_synchronous_host).needs(&[Need::Deadline]).only(&[Mode::Sync]),
    case!(router::a_rule_that_panics_costs_the_instance),
    case!(router::the_hosts_own_limits_hold_beside_the_routes),
];

/// Makes the host call that its payload describes (see [`Dial`]), several times. Passes on the last
/// answer, or the first error.
const SWITCHBOARD: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $left i32) (local $bd i32) (local $ns i32) (local $name i32) (local $end i32)
    (call $guest_request (i32.const 256) (i32.const 8192))
    (local.set $left (i32.load8_u (i32.const 8192)))
    (local.set $bd (i32.load8_u (i32.const 8193)))
    (local.set $ns (i32.load8_u (i32.const 8194)))
    (local.set $name (i32.load8_u (i32.const 8195)))
    (local.set $end (i32.add (i32.add (local.get $bd) (local.get $ns)) (local.get $name)))
    (loop $again
      (if (i32.eqz (call $host_call
          (i32.const 8196) (local.get $bd)
          (i32.add (i32.const 8196) (local.get $bd)) (local.get $ns)
          (i32.add (i32.const 8196) (i32.add (local.get $bd) (local.get $ns))) (local.get $name)
          (i32.add (i32.const 8196) (local.get $end))
          (i32.sub (i32.sub (local.get $msg) (i32.const 4)) (local.get $end))))
        (then (return (call $relay (i32.const 0)))))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $relay (i32.const 1)))
"#;

/// A host call that the guest makes.
#[derive(Clone, Copy)]
struct Dial<'a> {
    names: [&'a str; 3],
    times: u8,
    payload: &'a [u8],
}

fn dial(names: [&str; 3]) -> Dial<'_> {
    Dial { names, times: 1, payload: b"" }
}

impl Dial<'_> {
    fn times(self, times: u8) -> Self {
        Self { times, ..self }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.times];
        bytes.extend(self.names.map(|name| u8::try_from(name.len()).expect("a name of at most 255 bytes")));
        bytes.extend(self.names.concat().into_bytes());
        bytes.extend(self.payload);
        bytes
    }

    #[track_caller]
    fn answer(self, host: &Host) -> String {
        String::from_utf8(host.answer("run", &self.bytes())).unwrap()
    }

    /// Returns the text of a refusal, which the guest passes on and survives.
    #[track_caller]
    fn refusal(self, host: &Host) -> String {
        let error = host.fails("run", &self.bytes(), Failure::GUEST_FAILED);
        error.guest_error().unwrap().to_owned()
    }
}

fn host(subject: &Subject, router: HostRouter) -> Host {
    subject.host(Guest::new(SWITCHBOARD).router(&Arc::new(router)))
}

/// Returns a route that answers with a word.
fn says_word(route: Route, word: &'static str) -> Route {
    route.handler(handler_fn(move |_| Ok(Bytes::from_static(word.as_bytes()))))
}

/// Adds a handler that may wait: a synchronous or an asynchronous one, by the mode.
fn waits(subject: &Subject, route: Route, handler: Handler) -> Route {
    match subject.mode() {
        Mode::Sync => route.handler(handler),
        Mode::Async | Mode::Straight => route.handler_async(handler),
    }
}

fn a_host_call_goes_to_the_most_specific_route(subject: &Subject) {
    let any = Route::any;
    let router = HostRouter::new()
        .route(says_word(any(), "***"))
        .route(says_word(any().operation("o"), "**o"))
        .route(says_word(any().binding("*").namespace("n"), "*n*"))
        .route(says_word(any().binding("b"), "b**"))
        .route(says_word(any().namespace("n").operation("o"), "*no"))
        .route(says_word(any().binding("b").namespace("*").operation("o"), "b*o"))
        .route(says_word(any().binding("b").namespace("n"), "bn*"))
        .route(says_word(any().binding("b").namespace("n").operation("o"), "bno"));
    let host = host(subject, router);
    for (names, word) in [
        (["b", "n", "o"], "bno"),
        (["b", "n", "x"], "bn*"),
        (["b", "x", "o"], "b*o"),
        (["x", "n", "o"], "*no"),
        (["b", "x", "x"], "b**"),
        (["x", "n", "x"], "*n*"),
        (["x", "x", "o"], "**o"),
        (["o", "b", "n"], "***"),
        (["", "", ""], "***"),
    ] {
        assert_eq!(dial(names).answer(&host), word, "{names:?}");
    }
    host.counted(10);
}

fn what_no_route_serves_is_refused_by_name(subject: &Subject) {
    let router = HostRouter::new()
        .route(says_word(Route::any().binding("kv").namespace("store").operation("get"), "got"));
    let host = host(subject, router);
    assert_eq!(dial(["kv", "store", "get"]).answer(&host), "got");
    assert_eq!(
        dial(["kv", "store", "drop"]).refusal(&host),
        r#"host call "kv"/"store"/"drop" refused: no route serves it"#
    );
    // Names that a guest sends are never patterns.
    assert_eq!(dial(["*", "*", "*"]).refusal(&host), r#"host call "*"/"*"/"*" refused: no route serves it"#);
    assert_eq!(dial(["kv", "store", "get"]).answer(&host), "got");
}

fn a_refusal_is_short_and_harmless(subject: &Subject) {
    let host = host(subject, HostRouter::new());
    let long = "\u{1b}[2J\u{202e}\n\"".repeat(20);
    let text = dial([&long, &long, &long]).refusal(&host);
    assert!(text.len() < 2048, "{} bytes", text.len());
    assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
    says(&text, &[r#"host call "\u{1b}[2J\u{202e}\n\""#, "...", "no route serves it"]);
}

fn a_route_without_a_handler_closes_a_part_of_a_wider_one(subject: &Subject) {
    let router = HostRouter::new()
        .route(says_word(Route::any().binding("kv"), "open"))
        .route(Route::any().binding("kv").namespace("admin"));
    let host = host(subject, router);
    assert_eq!(dial(["kv", "users", "get"]).answer(&host), "open");
    assert_eq!(
        dial(["kv", "admin", "get"]).refusal(&host),
        r#"host call "kv"/"admin"/"get" refused: its route has no handler"#
    );
}

fn only_listed_operations_are_allowed(subject: &Subject) {
    let router = HostRouter::new()
        .route(says_word(Route::any(), "wide"))
        .route(says_word(Route::any().binding("kv").operations(["get", "list"]), "listed"));
    let host = host(subject, router);
    assert_eq!(dial(["kv", "x", "get"]).answer(&host), "listed");
    assert_eq!(dial(["kv", "x", "list"]).answer(&host), "listed");
    // A call that its route refuses does not fall through to a wider route.
    assert_eq!(
        dial(["kv", "x", "drop"]).refusal(&host),
        r#"host call "kv"/"x"/"drop" refused: its route does not allow this operation"#
    );
    assert_eq!(dial(["other", "x", "drop"]).answer(&host), "wide");
}

fn a_rule_sees_the_call_and_the_callers_context(subject: &Subject) {
    struct Tenant(&'static str);
    let rule = |call: &antiphon::HostCall<'_>| {
        call.context().get::<Tenant>().is_some_and(|tenant| call.namespace == tenant.0)
    };
    let route = Route::any().binding("kv").allow(|call| call.payload.len() < 4).allow(rule);
    let host = host(subject, HostRouter::new().route(says_word(route, "yours")));
    let request =
        |dial: Dial<'_>| Request::new("run", dial.bytes()).context(Context::new().with(Tenant("blue")));
    let refused = |request, names: &str| {
        let error = host.fails_with(request, Failure::GUEST_FAILED);
        let text = format!("host call {names} refused: a rule of its route does not allow it");
        assert_eq!(error.guest_error(), Some(text.as_str()));
    };
    let own = dial(["kv", "blue", "get"]);
    assert_eq!(host.call_with(request(own)).unwrap().payload, b"yours");
    refused(request(dial(["kv", "green", "get"])), r#""kv"/"green"/"get""#);
    // Both rules must agree.
    refused(request(Dial { payload: b"four", ..own }), r#""kv"/"blue"/"get""#);
    refused(Request::new("run", own.bytes()), r#""kv"/"blue"/"get""#);
}

fn a_budget_of_calls_is_for_one_guest_call(subject: &Subject) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let route = Route::any().binding("kv").max_calls(3).handler(handler_fn(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok("fine".into())
    }));
    let host =
        host(subject, HostRouter::new().route(route).route(says_word(Route::any().binding("free"), "free")));
    for _ in 0..3 {
        // Each guest call has the whole budget, whatever the last one spent.
        calls.store(0, Ordering::Relaxed);
        assert_eq!(dial(["kv", "a", "b"]).times(3).answer(&host), "fine");
        assert_eq!(calls.swap(0, Ordering::Relaxed), 3);
        assert_eq!(
            dial(["kv", "a", "c"]).times(5).refusal(&host),
            r#"host call "kv"/"a"/"c" refused: the budget of 3 calls that its route has for one guest call is spent"#
        );
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
    assert_eq!(dial(["free", "a", "b"]).times(200).answer(&host), "free");
}

fn a_budget_of_bytes_counts_payloads_and_answers(subject: &Subject) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let router = HostRouter::new().route(Route::any().max_bytes(100).handler(handler_fn(move |call| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::copy_from_slice(call.payload))
    })));
    let host = host(subject, router);
    let of = |times, payload| Dial { names: ["a", "b", "c"], times, payload };
    let spent = r#"host call "a"/"b"/"c" refused: the budget of 100 bytes that its route has for one guest call is spent"#;
    // 25 bytes each way, twice; then nothing is left; then an answer that is too long; then a
    // payload that never reaches the handler.
    for (dial, answers, handled) in [
        (of(2, [b'x'; 25].as_slice()), true, 2),
        (of(3, &[b'x'; 25]), false, 2),
        (of(1, &[b'x'; 50]), true, 1),
        (of(1, &[b'x'; 51]), false, 1),
        (of(1, &[b'x'; 101]), false, 0),
    ] {
        calls.store(0, Ordering::Relaxed);
        if answers {
            assert_eq!(dial.answer(&host).as_bytes(), dial.payload);
        } else {
            assert_eq!(dial.refusal(&host), spent);
        }
        assert_eq!(calls.load(Ordering::Relaxed), handled, "{} of {}", dial.times, dial.payload.len());
    }
}

fn a_budget_of_time_ends_a_handler_that_waits(subject: &Subject) {
    let budget = Duration::from_millis(60);
    let spent =
        r#"host call "a"/"b"/"c" refused: the budget of 60ms that its route has for one guest call is spent"#;
    let sleepy = |time| Handler::new(move |_| Answer::After(time, Ok("awake".into())));
    let call = dial(["a", "b", "c"]);

    let route = |time| waits(subject, Route::any().max_time(budget), sleepy(time));
    let host = subject.host(
        Guest::new(SWITCHBOARD).router(&Arc::new(HostRouter::new().route(route(Duration::from_millis(400))))),
    );
    let (text, elapsed) = timed(|| call.refusal(&host));
    assert_eq!(text, spent);
    if subject.mode() != Mode::Sync {
        // A handler that blocks its thread is not interrupted. One that waits is, long before it is
        // done.
        soon(elapsed, budget);
    }

    // The budget covers the time of all host calls together. The next guest call has all of it
    // again.
    let short = Duration::from_millis(25);
    let host = subject
        .host(Guest::new(SWITCHBOARD).patient().router(&Arc::new(HostRouter::new().route(route(short)))));
    assert_eq!(call.times(20).refusal(&host), spent);
    assert_eq!(call.times(20).refusal(&host), spent);
}

fn the_handler_knows_what_time_its_route_has(subject: &Subject) {
    let budget = Duration::from_millis(300);
    let spinning =
        subject.host(Guest::new(crate::cases::SPIN).limits(Limits::new().deadline(Duration::from_secs(60))));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let handler = Handler::new(move |call| {
        let left = call.deadline().unwrap().saturating_duration_since(Instant::now());
        let (caller, host, notes) = (call.caller(), spinning.clone(), Arc::clone(&notes));
        Answer::Later(Box::pin(async move {
            // An inner call through the caller has no more time than the route.
            let inner = host.call_later(Request::new("run", b"").caller(caller)).await;
            notes.lock().unwrap().push((left, inner.map(|response| response.payload)));
            Ok("late".into())
        }))
    });
    let route = waits(subject, Route::any().max_time(budget), handler);
    let guest = Guest::new(SWITCHBOARD).limits(Limits::new().deadline(Duration::from_secs(60)));
    let host = subject.host(guest.router(&Arc::new(HostRouter::new().route(route))));
    let (text, elapsed) = timed(|| dial(["a", "b", "c"]).refusal(&host));
    says(text, &["the budget of 300ms"]);
    soon(elapsed, budget);
    // An asynchronous handler may have been dropped before it could report.
    for (left, inner) in seen.lock().unwrap().drain(..) {
        assert!(left <= budget + Duration::from_millis(15), "{left:?}");
        assert_eq!(inner.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }
}

fn a_call_that_is_dropped_leaves_nothing_spent(subject: &Subject) {
    let first = Arc::new(AtomicU32::new(0));
    let calls = Arc::clone(&first);
    let handler = Handler::new(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::Never,
        _ => Answer::ok("fine"),
    });
    let router = HostRouter::new().route(Route::any().max_calls(1).handler_async(handler));
    let host = host(subject, router);
    let Host::Async(inner) = &host else { unreachable!("the case runs on asynchronous hosts") };
    let bytes = dial(["a", "b", "c"]).bytes();
    runtime().block_on(async {
        let dropped = tokio::time::timeout(Duration::from_millis(100), inner.call("run", &bytes)).await;
        assert!(dropped.is_err(), "the handler never answers");
    });
    assert_eq!(first.load(Ordering::Relaxed), 1);
    assert_eq!(dial(["a", "b", "c"]).answer(&host), "fine");
    says(dial(["a", "b", "c"]).times(2).refusal(&host), &["the budget of 1 calls"]);
}

fn one_router_serves_many_hosts_each_with_budgets_of_its_own(subject: &Subject) {
    // The inner host serves another guest call, even while the outer one waits for it.
    let inner = Arc::new(Mutex::new(None::<Host>));
    let known = Arc::clone(&inner);
    let handler = Handler::new(move |call| {
        let (host, caller) = (known.lock().unwrap().clone(), call.caller());
        match host {
            Some(host) if call.operation == "through" => Answer::Later(Box::pin(async move {
                let bytes = dial(["a", "b", "end"]).bytes();
                Ok(host.call_later(Request::new("run", bytes).caller(caller)).await?.payload.into())
            })),
            _ => Answer::ok("the end"),
        }
    });
    let router = Arc::new(HostRouter::new().route(waits(subject, Route::any().max_calls(1), handler)));
    let start = || subject.host(Guest::new(SWITCHBOARD).router(&router));
    let (outer, other) = (start(), start());
    *inner.lock().unwrap() = Some(other.clone());
    assert_eq!(dial(["a", "b", "through"]).answer(&outer), "the end");
    assert_eq!(dial(["a", "b", "end"]).answer(&other), "the end");
    *inner.lock().unwrap() = None;
}

fn a_router_inside_another_has_budgets_of_its_own(subject: &Subject) {
    let inner = HostRouter::new()
        .route(says_word(Route::any().operation("rare").max_calls(1), "rare"))
        .route(says_word(Route::any().operation("often"), "often"));
    let router = HostRouter::new().route(Route::any().binding("kv").max_calls(3).handler_async(inner));
    let host = host(subject, router);
    assert_eq!(dial(["kv", "a", "often"]).times(3).answer(&host), "often");
    says(dial(["kv", "a", "often"]).times(4).refusal(&host), &["the budget of 3 calls"]);
    says(dial(["kv", "a", "rare"]).times(2).refusal(&host), &["the budget of 1 calls"]);
    says(dial(["kv", "a", "never"]).refusal(&host), &["no route serves it"]);
}

fn a_handler_that_waits_parks_a_synchronous_host(subject: &Subject) {
    let ready = Handler::new(|call| Answer::ok(Bytes::copy_from_slice(call.payload)));
    let never = Handler::new(|_| Answer::Never);
    let router = HostRouter::new()
        .route(Route::any().binding("ready").handler_async(ready))
        .route(Route::any().binding("never").handler_async(never));
    let deadline = Duration::from_millis(120);
    let guest = Guest::new(SWITCHBOARD).limits(Limits::new().deadline(deadline));
    let host = subject.host(guest.router(&Arc::new(router)));
    assert_eq!(Dial { payload: b"hi", ..dial(["ready", "", ""]) }.answer(&host), "hi");
    let (error, elapsed) = timed(|| host.call("run", &dial(["never", "", ""]).bytes()).unwrap_err());
    Failure::DEADLINE_IN_HOST.check(&error);
    deadline_in(&error, Phase::HostCall);
    soon(elapsed, deadline);
    host.counted(1);
}

fn a_rule_that_panics_costs_the_instance(subject: &Subject) {
    let route = Route::any().allow(|_| panic_quietly("no rule for that"));
    let host = host(subject, HostRouter::new().route(says_word(route, "never")));
    says(host.fails("run", &dial(["a", "b", "c"]).bytes(), Failure::HOST_PANICKED), &["no rule for that"]);
}

fn the_hosts_own_limits_hold_beside_the_routes(subject: &Subject) {
    let router = HostRouter::new().route(says_word(Route::any().max_calls(100), "fine"));
    let guest = Guest::new(SWITCHBOARD).limits(Limits::new().host_calls(2));
    let host = subject.host(guest.router(&Arc::new(router)));
    assert_eq!(dial(["a", "b", "c"]).times(2).answer(&host), "fine");
    host.fails("run", &dial(["a", "b", "c"]).times(3).bytes(), Failure::HOST_CALL_LIMIT);
    assert_eq!(dial(["a", "b", "c"]).times(2).answer(&host), "fine");
}
