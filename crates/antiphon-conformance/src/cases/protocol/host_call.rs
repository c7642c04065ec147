//! Host calls: the guest calls its host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, Context, Limits, Request, WapcHost, WapcHostAsync};

use crate::suite::{Case, Guest, Host, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, Said, panic_quietly, runtime, says};

pub(super) const CASES: &[Case] = &[
    case!(host_call::the_handler_gets_all_four_parts_and_the_host_id),
    case!(host_call::the_answer_reaches_the_guest),
    case!(host_call::an_empty_answer_is_a_success),
    case!(host_call::without_a_callback_the_guest_reads_why),
    case!(host_call::an_error_of_the_handler_is_readable),
    case!(host_call::an_error_text_over_its_limit_is_cut_and_marked),
    case!(host_call::a_handler_that_panics_costs_the_instance),
    case!(host_call::a_name_that_is_not_utf8_is_refused_and_the_guest_lives),
    case!(host_call::a_name_of_a_kibibyte_passes_and_a_longer_one_is_refused),
    case!(host_call::a_payload_over_its_limit_is_refused),
    case!(host_call::an_answer_over_its_limit_is_refused),
    case!(host_call::before_any_host_call_there_is_nothing_to_read),
    case!(host_call::each_host_call_clears_what_the_last_one_left),
    case!(host_call::each_call_clears_what_the_last_one_left),
    case!(host_call::an_answer_can_be_read_twice),
    case!(host_call::one_host_call_too_many_ends_the_call),
    case!(host_call::refused_host_calls_count_too),
    case!(host_call::payloads_over_the_byte_budget_end_the_call),
    case!(host_call::answers_over_the_byte_budget_end_the_call),
    case!(host_call::the_callers_context_reaches_the_handler),
    case!(host_call::the_handler_knows_the_deadline).needs(&[Need::Deadline]),
    case!(host_call::the_closures_of_wapc_2_serve),
    case!(host_call::a_handler_may_wait).needs(&[Need::Suspend]).only(Mode::ASYNC),
    case!(host_call::a_handler_may_call_another_host),
    case!(host_call::a_large_payload_is_there_as_often_as_the_guest_asks),
    case!(host_call::as_the_last_deed_of_a_function_it_returns_to_whoever_called_that),
    case!(host_call::as_the_last_deed_of_the_guest_it_is_what_the_guest_returns),
];

/// Calls the host with the payload and passes on its answer.
pub(in crate::cases) const RELAY: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (call $guest_request (i32.const 256) (i32.const 1024))
    (call $relay (call $ask (i32.const 1024) (local.get $msg))))
"#;

pub(in crate::cases) fn echo(call: antiphon::HostCall<'_>) -> Said {
    Ok(Bytes::copy_from_slice(call.payload))
}

fn the_handler_gets_all_four_parts_and_the_host_id(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).answers(|call| {
        let (binding, namespace, operation) = (call.binding, call.namespace, call.operation);
        let payload = String::from_utf8_lossy(call.payload);
        Ok(format!("{}/{binding}/{namespace}/{operation}/{payload}", call.host_id()).into())
    }));
    let expected = format!("{}/binding/namespace/operation/päy\0load", host.id());
    assert_eq!(host.answer("run", "päy\0load".as_bytes()), expected.as_bytes());
    host.counted(2);
}

fn the_answer_reaches_the_guest(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).answers(echo));
    let bytes: Vec<u8> = (0..=255).cycle().take(60_000).collect();
    assert!(host.answer("run", &bytes) == bytes, "60,000 bytes came back changed");
    assert_eq!(host.answer("run", b"short"), b"short");
}

fn an_empty_answer_is_a_success(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).answers(|_| Ok(Bytes::new())));
    assert_eq!(host.answer("run", b"anything"), b"");
}

fn without_a_callback_the_guest_reads_why(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY));
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), Some("Missing host callback function!"));
}

fn an_error_of_the_handler_is_readable(subject: &Subject) {
    let host = subject
        .host(Guest::new(RELAY).answers(|call| Err(format!("no {} for you, ☹", call.payload.len()).into())));
    let error = host.fails("run", b"1234", Failure::GUEST_FAILED);
    assert_eq!(error.guest_error(), Some("no 4 for you, ☹"));
}

fn an_error_text_over_its_limit_is_cut_and_marked(subject: &Subject) {
    let host = subject.host(
        Guest::new(RELAY).limits(Limits::new().error_text(100)).answers(|_| Err("é".repeat(60).into())),
    );
    let error = host.fails("run", b"", Failure::GUEST_FAILED);
    let text = error.guest_error().unwrap();
    // The mark itself may be cut when the guest hands the text back.
    assert!(text.starts_with(&"é".repeat(50)) && !text.starts_with(&"é".repeat(51)), "{text:?}");
    assert!(text.len() > 100 && !text.contains('\u{fffd}'), "not marked: {text:?}");
}

fn a_handler_that_panics_costs_the_instance(subject: &Subject) {
    let guest = Guest::new(RELAY);
    let host = subject.host(guest.clone().answers(|_| panic_quietly("wires crossed")));
    says(host.fails("run", b"", Failure::HOST_PANICKED), &["wires crossed"]);
    let host = subject.host(guest.clone().answers(|_| panic_quietly(String::from("wires burnt"))));
    says(host.fails("run", b"", Failure::HOST_PANICKED), &["wires burnt"]);
    let host = subject.host(guest.handler(|_| Answer::Later(Box::pin(async { panic_quietly(42) }))));
    host.fails("run", b"", Failure::HOST_PANICKED);
}

fn a_name_that_is_not_utf8_is_refused_and_the_guest_lives(subject: &Subject) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    // The first byte of the payload selects which of the three names is broken.
    let host = subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (call $guest_request (i32.const 256) (i32.const 0))
                 (call $relay (call $host_call
                   (select (i32.const 16) (i32.const 32) (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0)))
                   (i32.const 4)
                   (select (i32.const 16) (i32.const 32) (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1)))
                   (i32.const 4)
                   (select (i32.const 16) (i32.const 32) (i32.eq (i32.load8_u (i32.const 0)) (i32.const 2)))
                   (i32.const 4)
                   (i32.const 0) (i32.const 1))))
               (data (i32.const 16) "a\ff\feb") (data (i32.const 32) "fine")"#,
        )
        .answers(move |call| {
            counter.fetch_add(1, Ordering::Relaxed);
            echo(call)
        }),
    );
    for (which, name) in ["binding", "namespace", "operation"].into_iter().enumerate() {
        let error = host.fails("run", &[which as u8], Failure::GUEST_FAILED);
        says(error.guest_error().unwrap(), &[name, "UTF-8"]);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0, "the handler saw a name that is not UTF-8");
    assert_eq!(host.answer("run", &[3]), [3]);
}

fn a_name_of_a_kibibyte_passes_and_a_longer_one_is_refused(subject: &Subject) {
    // The payload contains the three lengths.
    let host = subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (call $guest_request (i32.const 256) (i32.const 0))
                 (call $relay (call $host_call
                   (i32.const 4096) (i32.load (i32.const 0)) (i32.const 4096) (i32.load (i32.const 4))
                   (i32.const 4096) (i32.load (i32.const 8)) (i32.const 0) (i32.const 4))))"#,
        )
        .answers(echo),
    );
    let lengths = |lengths: [i32; 3]| lengths.map(i32::to_le_bytes).concat();
    assert_eq!(host.answer("run", &lengths([1024; 3])).len(), 4);
    for (which, name) in ["binding", "namespace", "operation"].into_iter().enumerate() {
        let mut over = [1024; 3];
        over[which] = 1025;
        let error = host.fails("run", &lengths(over), Failure::GUEST_FAILED);
        says(error.guest_error().unwrap(), &[name, "1025", "1024"]);
    }
}

fn a_payload_over_its_limit_is_refused(subject: &Subject) {
    let guest = Guest::new(RELAY).limits(Limits::new().host_payload(1000)).answers(echo);
    let host = subject.host(guest);
    assert_eq!(host.answer("run", &[7; 1000]).len(), 1000);
    let error = host.fails("run", &[7; 1001], Failure::GUEST_FAILED);
    says(error.guest_error().unwrap(), &["payload", "1001", "1000"]);
}

fn an_answer_over_its_limit_is_refused(subject: &Subject) {
    let guest = Guest::new(RELAY)
        .limits(Limits::new().host_payload(1000))
        .answers(|call| Ok(vec![7; 1000 + call.payload.len()].into()));
    let host = subject.host(guest);
    assert_eq!(host.answer("run", b"").len(), 1000);
    let error = host.fails("run", b"1", Failure::GUEST_FAILED);
    says(error.guest_error().unwrap(), &["answer", "1001", "1000"]);
}

/// Answers both lengths, then the eight bytes that both imports could have overwritten.
const LOOK: &str = r#"
  (func $look (result i32)
    (i32.store (i32.const 512) (call $host_response_len))
    (i32.store (i32.const 516) (call $host_error_len))
    (i64.store (i32.const 520) (i64.const 0x7777777777777777))
    (call $host_response (i32.const 520))
    (call $host_error (i32.const 524))
    (call $answer (i32.const 512) (i32.const 16)))
"#;

fn looked(response: i32, error: i32, bytes: &[u8; 8]) -> Vec<u8> {
    [&response.to_le_bytes()[..], &error.to_le_bytes(), bytes].concat()
}

fn before_any_host_call_there_is_nothing_to_read(subject: &Subject) {
    let guest = Guest::new(&format!("(func $run (param i32 i32) (result i32) (call $look)) {LOOK}"));
    let host = subject.host(guest);
    assert_eq!(host.answer("run", b""), looked(0, 0, b"wwwwwwww"));
    host.counted(2);
}

/// Starts a guest that makes a host call for each byte of the payload, then looks.
fn looker(subject: &Subject) -> Host {
    let guest = Guest::new(&format!(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (local $at i32)
             (call $guest_request (i32.const 256) (i32.const 1024))
             (block $done (loop $next
               (br_if $done (i32.eq (local.get $at) (local.get $msg)))
               (drop (call $ask (i32.add (i32.const 1024) (local.get $at)) (i32.const 1)))
               (local.set $at (i32.add (local.get $at) (i32.const 1)))
               (br $next)))
             (call $look))
           {LOOK}"#
    ));
    subject.host(guest.answers(|call| match call.payload {
        b"y" => Ok(Bytes::from_static(b"yes")),
        _ => Err("no".into()),
    }))
}

fn each_host_call_clears_what_the_last_one_left(subject: &Subject) {
    let host = looker(subject);
    assert_eq!(host.answer("run", b"y"), looked(3, 0, b"yeswwwww"));
    assert_eq!(host.answer("run", b"n"), looked(0, 2, b"wwwwnoww"));
    assert_eq!(host.answer("run", b"yn"), looked(0, 2, b"wwwwnoww"));
    assert_eq!(host.answer("run", b"nyny"), looked(3, 0, b"yeswwwww"));
}

fn each_call_clears_what_the_last_one_left(subject: &Subject) {
    let host = looker(subject);
    for before in [b"y", b"n"] {
        host.answer("run", before);
        assert_eq!(host.answer("run", b""), looked(0, 0, b"wwwwwwww"), "after {before:?}");
    }
}

fn an_answer_can_be_read_twice(subject: &Subject) {
    let host = subject.host(
        Guest::new(
            r#"(func $run (param i32 i32) (result i32)
                 (drop (call $ask (i32.const 0) (i32.const 0)))
                 (call $host_response (i32.const 0))
                 (call $host_response (i32.const 3))
                 (call $answer (i32.const 0) (i32.const 6)))"#,
        )
        .answers(|_| Ok(Bytes::from_static(b"one"))),
    );
    assert_eq!(host.answer("run", b""), b"oneone");
}

/// Makes as many host calls as the payload says, each with 100 bytes, and answers how many
/// succeeded.
const MANY: &str = r#"
  (func $run (param i32 i32) (result i32)
    (local $left i32) (local $succeeded i32)
    (call $guest_request (i32.const 256) (i32.const 0))
    (local.set $left (i32.load (i32.const 0)))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (local.set $succeeded (i32.add (local.get $succeeded) (call $ask (i32.const 1024) (i32.const 100))))
      (br $next)))
    (call $answer_i32 (local.get $succeeded)))
"#;

fn one_host_call_too_many_ends_the_call(subject: &Subject) {
    let host = subject.host(Guest::new(MANY).answers(|_| Ok(Bytes::new())));
    // Reaches the default limit twice: the count starts again with each call.
    assert_eq!(host.number("run", &1000i32.to_le_bytes()), 1000);
    assert_eq!(host.number("run", &1000i32.to_le_bytes()), 1000);
    let error = host.fails("run", &1001i32.to_le_bytes(), Failure::HOST_CALL_LIMIT);
    says(&error, &["1000"]);
    assert!(error.is_limit());

    let none = Limits::new().host_calls(0);
    let host = subject.host(Guest::new(MANY).limits(none).answers(|_| Ok(Bytes::new())));
    assert_eq!(host.number("run", &0i32.to_le_bytes()), 0);
    host.fails("run", &1i32.to_le_bytes(), Failure::HOST_CALL_LIMIT);
}

fn refused_host_calls_count_too(subject: &Subject) {
    // Without a callback each host call is refused.
    let host = subject.host(Guest::new(MANY));
    assert_eq!(host.number("run", &1000i32.to_le_bytes()), 0);
    host.fails("run", &1001i32.to_le_bytes(), Failure::HOST_CALL_LIMIT);
    // Each host call exceeds a limit.
    let limits = Limits::new().host_payload(99).host_calls(10);
    let host = subject.host(Guest::new(MANY).limits(limits).answers(echo));
    assert_eq!(host.number("run", &10i32.to_le_bytes()), 0);
    host.fails("run", &11i32.to_le_bytes(), Failure::HOST_CALL_LIMIT);
}

fn payloads_over_the_byte_budget_end_the_call(subject: &Subject) {
    let limits = Limits::new().host_call_bytes(1000);
    let host = subject.host(Guest::new(MANY).limits(limits).answers(|_| Ok(Bytes::new())));
    assert_eq!(host.number("run", &10i32.to_le_bytes()), 10);
    let error = host.fails("run", &11i32.to_le_bytes(), Failure::HOST_CALL_LIMIT);
    says(&error, &["1000"]);
}

fn answers_over_the_byte_budget_end_the_call(subject: &Subject) {
    let limits = Limits::new().host_call_bytes(1000);
    let host = subject.host(Guest::new(MANY).limits(limits).answers(echo));
    assert_eq!(host.number("run", &5i32.to_le_bytes()), 5);
    host.fails("run", &6i32.to_le_bytes(), Failure::HOST_CALL_LIMIT);
}

fn the_callers_context_reaches_the_handler(subject: &Subject) {
    struct Tenant(&'static str);
    let host = subject.host(Guest::new(RELAY).answers(|call| {
        let tenant = call.context().get::<Tenant>().map_or("nobody", |tenant| tenant.0);
        Ok(Bytes::from(tenant))
    }));
    for tenant in ["blue", "green"] {
        let request = Request::new("run", b"").context(Context::new().with(Tenant(tenant)));
        assert_eq!(host.call_with(request).unwrap().payload, tenant.as_bytes());
    }
    assert_eq!(host.answer("run", b""), b"nobody");
}

fn the_handler_knows_the_deadline(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).answers(|call| {
        let left = call.deadline().unwrap().saturating_duration_since(Instant::now());
        Ok(Bytes::copy_from_slice(&u64::try_from(left.as_millis()).unwrap().to_le_bytes()))
    }));
    let left = |request| {
        let answer = host.call_with(request).unwrap().payload;
        Duration::from_millis(u64::from_le_bytes(answer.try_into().unwrap()))
    };
    let default = left(Request::new("run", b""));
    assert!(default > Duration::from_secs(1) && default <= Duration::from_millis(2010), "{default:?}");
    let own = left(Request::new("run", b"").deadline(Duration::from_secs(600)));
    assert!(own > Duration::from_secs(590) && own <= Duration::from_millis(600_010), "{own:?}");
}

fn the_closures_of_wapc_2_serve(subject: &Subject) {
    let guest = Guest::new(RELAY);
    let factory = subject.factory(&guest).unwrap();
    let said = |id: u64, [binding, namespace, operation]: [&str; 3], payload: &[u8]| match payload {
        b"fail" => Err("as you wish".into()),
        _ => Ok([format!("{}{binding}{namespace}{operation}", id > 0).as_bytes(), payload].concat()),
    };
    let host = match subject.mode() {
        Mode::Sync => {
            let callback = move |id: u64, binding: &str, namespace: &str, operation: &str, payload: &[u8]| {
                said(id, [binding, namespace, operation], payload)
            };
            let provider = factory.provider().unwrap();
            Host::Sync(Arc::new(WapcHost::new(provider, Some(Box::new(callback))).unwrap()))
        }
        Mode::Async | Mode::Straight => {
            let callback =
                move |id: u64, binding: String, namespace: String, operation: String, payload: Vec<u8>| {
                    let said = said(id, [&binding, &namespace, &operation], &payload);
                    Box::pin(async move {
                        tokio::task::yield_now().await;
                        said
                    }) as antiphon::BoxFuture<'static, _>
                };
            let provider = factory.provider_async().unwrap();
            let host = runtime().block_on(WapcHostAsync::new(provider, Some(Box::new(callback)))).unwrap();
            Host::Async(Arc::new(host))
        }
    };
    assert_eq!(host.answer("run", b"!"), b"truebindingnamespaceoperation!");
    assert_eq!(host.fails("run", b"fail", Failure::GUEST_FAILED).guest_error(), Some("as you wish"));
}

fn a_handler_may_wait(subject: &Subject) {
    let host =
        subject.host(Guest::new(RELAY).handler(|call| Answer::After(Duration::from_millis(30), echo(call))));
    let started = Instant::now();
    assert_eq!(host.answer("run", b"patience"), b"patience");
    assert!(started.elapsed() >= Duration::from_millis(30));
    host.counted(2);
}

fn a_handler_may_call_another_host(subject: &Subject) {
    let inner = subject.host(Guest::new(crate::cases::ECHO));
    let other = inner.clone();
    let outer = subject.host(Guest::new(RELAY).handler(move |call| {
        let (other, payload, caller) = (other.clone(), call.payload.to_vec(), call.caller());
        Answer::Later(Box::pin(async move {
            let request = Request::new("echo", payload).caller(caller);
            let answer = other.call_later(request).await.map_err(|error: Error| error.to_string())?;
            Ok(answer.payload.into())
        }))
    }));
    assert_eq!(outer.answer("run", b"through two guests"), b"through two guests");
    outer.counted(2);
    inner.counted(2);
}

fn a_large_payload_is_there_as_often_as_the_guest_asks(subject: &Subject) {
    let inner = subject.host(Guest::new(crate::cases::ECHO));
    let other = inner.clone();
    // Asks for the payload before and after a host call, during which another guest gets a payload
    // of its own. Answers with what it got the second time.
    let guest = Guest::new(
        r#"(func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 256) (i32.const 1024))
             (drop (call $ask (i32.const 1024) (local.get $msg)))
             (call $guest_request (i32.const 256) (i32.const 32768))
             (call $answer (i32.const 32768) (local.get $msg)))"#,
    );
    for wait in [false, true] {
        let other = other.clone();
        let outer = subject.host(guest.clone().handler(move |call| {
            let (other, caller) = (other.clone(), call.caller());
            let payload: Vec<u8> = call.payload.iter().map(|byte| !byte).collect();
            Answer::Later(Box::pin(async move {
                if wait {
                    tokio::task::yield_now().await;
                }
                let request = Request::new("echo", payload.as_slice()).caller(caller);
                let answer = other.call_later(request).await.map_err(|error: Error| error.to_string())?;
                assert!(answer.payload == payload, "another guest's payload");
                Ok(answer.payload.into())
            }))
        }));
        for length in [0, 1, 512, 513, 4_096, 30_000] {
            let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert!(outer.answer("run", &payload) == payload, "{length} bytes came back changed");
        }
    }
}

/// Returns a handler that answers operations of this name and refuses others, after a while or at
/// once.
fn of_name(name: &'static str, after: Option<Duration>) -> impl Fn(antiphon::HostCall<'_>) -> Answer {
    move |call| {
        let said = if call.operation == name { Ok(Bytes::from_static(b"said")) } else { Err("no".into()) };
        match after {
            Some(time) => Answer::After(time, said),
            None => Answer::Now(said),
        }
    }
}

fn as_the_last_deed_of_a_function_it_returns_to_whoever_called_that(subject: &Subject) {
    // An engine may resume such a guest in the wrong frame: wasmi 2.0.0 puts the result of an
    // import that suspends into the wrong slot after a tail call. The frames in between differ in
    // size, so that would show in the sum.
    let guest = || {
        Guest::new(
            r#"(func $last (param i32 i64 i64) (result i32) (local i64 i64 v128)
                 (local.set 3 (i64.const -1)) (local.set 4 (i64.const -1))
                 (return_call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                   (i32.const 16) (local.get 0) (i32.const 0) (i32.const 0)))
               (func $between (param i32) (result i32)
                 (return_call $last (local.get 0) (i64.const 7) (i64.const 7)))
               (func $run (param i32 i32) (result i32) (local $a i32) (local $b i64) (local $said i32)
                 (local.set $a (i32.const 1000)) (local.set $b (i64.const 20000))
                 (local.set $said (i32.add (i32.const 300000) (call $between (i32.const 3))))
                 (local.set $said (i32.add (local.get $said)
                   (i32.mul (i32.const 10) (call $last (i32.const 2) (i64.const 9) (i64.const 9)))))
                 (call $answer_i32 (i32.add (i32.wrap_i64 (local.get $b)) (i32.add (local.get $a) (local.get $said)))))
               (data (i32.const 16) "yes")"#,
        )
    };
    for after in [None, Some(Duration::from_millis(20))] {
        let host = subject.host(guest().handler(of_name("yes", after)));
        for _ in 0..3 {
            assert_eq!(host.number("run", b""), 321_001, "after {after:?}");
        }
        let host = subject.host(guest().handler(of_name("ye", after)));
        assert_eq!(host.number("run", b""), 321_010, "after {after:?}");
    }
}

fn as_the_last_deed_of_the_guest_it_is_what_the_guest_returns(subject: &Subject) {
    let guest = || {
        Guest::module(
            r#"(module
                 (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
                 (import "wapc" "__guest_response" (func $guest_response (param i32 i32)))
                 (import "wapc" "__host_call"
                   (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
                 (memory (export "memory") 1)
                 (func (export "__guest_call") (param i32 i32) (result i32)
                   (call $guest_request (i32.const 16) (i32.const 64))
                   (call $guest_response (i32.const 64) (local.get 1))
                   (return_call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                     (i32.const 64) (local.get 1) (i32.const 0) (i32.const 0))))"#,
        )
    };
    for after in [None, Some(Duration::from_millis(20))] {
        let host = subject.host(guest().handler(of_name("yes", after)));
        for _ in 0..2 {
            assert_eq!(host.answer("run", b"yes"), b"yes", "after {after:?}");
            let error = host.call("run", b"no").expect_err("the host refuses it");
            assert_eq!(error.kind(), ErrorKind::GuestFailed, "after {after:?}");
        }
    }
}
