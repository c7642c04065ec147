//! The deterministic mode: equal calls get equal answers and burn equal fuel, in every run and on
//! every instance.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use antiphon::errors::{ErrorKind, Phase};
use antiphon::{Bytes, Limits, Request, WasiParams};

use super::wasi;
use crate::cases::{ECHO, SPIN};
use crate::suite::{Case, Guest, Host, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, cause, deadline_in, says, soon, timed};

const NEEDS: &[Need] = &[Need::Deterministic];
const NEEDS_WASI: &[Need] = &[Need::Deterministic, Need::Wasi];

pub(super) const CASES: &[Case] = &[
    case!(deterministic::random_bytes_are_the_stream_of_their_seed).keeps_state().needs(NEEDS_WASI),
    case!(deterministic::clocks_stand_where_they_were_set).needs(NEEDS_WASI),
    case!(deterministic::every_instance_begins_anew).keeps_state().needs(NEEDS_WASI),
    case!(deterministic::seed_and_time_make_the_difference).needs(NEEDS_WASI),
    case!(deterministic::arguments_and_the_older_name_change_nothing).needs(NEEDS_WASI),
    case!(deterministic::a_start_uses_up_some_of_the_stream).needs(NEEDS_WASI),
    case!(deterministic::waits_move_the_clock_and_take_no_time).keeps_state().needs(NEEDS_WASI),
    case!(deterministic::an_endless_call_burns_the_default_fuel).needs(NEEDS),
    case!(deterministic::an_endless_start_burns_the_default_fuel).needs(NEEDS),
    case!(deterministic::a_limit_of_fuel_that_is_set_replaces_the_default).needs(NEEDS),
    case!(deterministic::the_default_deadlines_do_not_apply).needs(NEEDS),
    case!(deterministic::a_deadline_that_is_set_holds).needs(&[Need::Deterministic, Need::Deadline]),
    case!(deterministic::relaxed_simd_is_refused).needs(NEEDS),
    case!(deterministic::the_same_calls_run_alike_twice).keeps_state().needs(NEEDS_WASI),
    case!(deterministic::the_same_calls_run_alike_in_another_mode).needs(NEEDS_WASI),
    case!(deterministic::a_guest_of_another_hand_runs_alike_twice)
        .needs(&[Need::Deterministic, Need::Guests]),
];

pub(in crate::cases) const SEED: u64 = 0x0123_4567_89ab_cdef;
pub(in crate::cases) const CLOCK: Duration = Duration::new(1_234_567_890, 123_456_789);
/// The monotonic clock at the start of an instance.
const MONOTONIC: u64 = 1_000_000_000;

fn fixed(body: &str) -> Guest {
    Guest::new(body).deterministic(SEED, CLOCK)
}

/// Answers both clocks and 32 random bytes. `trap` traps. `start` adds to the module.
fn world(module: &str, start: &str) -> String {
    format!(
        r#"(func $clock_time_get (import "{module}" "clock_time_get") (param i32 i64 i32) (result i32))
           (func $random_get (import "{module}" "random_get") (param i32 i32) (result i32))
           {start}
           (func $run (param $op i32) (param $msg i32) (result i32)
             (if (i32.eq (local.get $op) (i32.const 4)) (then unreachable))
             (if (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 0)) (then unreachable))
             (if (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8)) (then unreachable))
             (if (call $random_get (i32.const 16) (i32.const 32)) (then unreachable))
             (call $answer (i32.const 0) (i32.const 48)))"#
    )
}

fn look_around() -> String {
    world("wasi_snapshot_preview1", "")
}

/// What a guest sees of the world.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    realtime: u64,
    monotonic: u64,
    random: Vec<u8>,
}

#[track_caller]
fn look(host: &Host) -> Seen {
    let answer = host.answer("look around", b"");
    let number = |at: usize| u64::from_le_bytes(answer[at..at + 8].try_into().unwrap());
    Seen { realtime: number(0), monotonic: number(8), random: answer[16..48].to_vec() }
}

/// The key stream of ChaCha20 with key, nonce and counter zero: RFC 8439, appendix A.1, test vector
/// 1.
pub(in crate::cases) const STREAM_OF_ZERO: [u8; 64] = [
    0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28, 0xbd,
    0xd2, 0x19, 0xb8, 0xa0, 0x8d, 0xed, 0x1a, 0xa8, 0x36, 0xef, 0xcc, 0x8b, 0x77, 0x0d, 0xc7, 0xda, 0x41,
    0x59, 0x7c, 0x51, 0x57, 0x48, 0x8d, 0x77, 0x24, 0xe0, 0x3f, 0xb8, 0xd8, 0x4a, 0x37, 0x6a, 0x43, 0xb8,
    0xf4, 0x15, 0x18, 0xa1, 0x1c, 0xc3, 0x87, 0xb6, 0x69, 0xb2, 0xee, 0x65, 0x86,
];

fn random_bytes_are_the_stream_of_their_seed(subject: &Subject) {
    let host = subject.host(Guest::new(&look_around()).deterministic(0, CLOCK));
    assert_eq!(look(&host).random, STREAM_OF_ZERO[..32]);
    assert_eq!(look(&host).random, STREAM_OF_ZERO[32..], "the next call reads on");

    // One read of megabytes gives the same stream as many small reads.
    let body = r#"(func $random_get (import "wasi_snapshot_preview1" "random_get") (param i32 i32) (result i32))
        (func $run (param $op i32) (param $msg i32) (result i32)
          (local $at i32) (local $step i32)
          (call $guest_request (i32.const 256) (i32.const 0))
          (local.set $step (i32.load (i32.const 0)))
          (local.set $at (i32.const 65536))
          (loop $again
            (if (call $random_get (local.get $at) (local.get $step)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (local.get $step)))
            (br_if $again (i32.lt_u (local.get $at) (i32.const 1114112))))
          (call $answer (i32.const 65536) (i32.const 1048576)))"#;
    let stream = |step: i32| {
        let guest = Guest::with_memory(r#"(memory (export "memory") 17)"#, body).deterministic(0, CLOCK);
        subject.host(guest).answer("run", &step.to_le_bytes())
    };
    let whole = stream(1 << 20);
    assert_eq!(whole[..64], STREAM_OF_ZERO);
    for step in [1 << 6, 1 << 12, 1 << 18] {
        assert!(stream(step) == whole, "{step} bytes at a time");
    }
}

fn clocks_stand_where_they_were_set(subject: &Subject) {
    let host = subject.host(fixed(&look_around()));
    for _ in 0..3 {
        let Seen { realtime, monotonic, .. } = look(&host);
        assert_eq!((realtime, monotonic), (1_234_567_890_123_456_789, MONOTONIC));
        thread::sleep(Duration::from_millis(5));
    }
}

fn every_instance_begins_anew(subject: &Subject) {
    let guest = fixed(&look_around());
    let factory = subject.factory(&guest).unwrap();
    let host = subject.start_on(&*factory, guest.clone()).unwrap();
    let first = [look(&host), look(&host)];
    assert_ne!(first[0].random, first[1].random);
    let begins_anew = |host: &Host, what: &str| assert_eq!([look(host), look(host)], first, "{what}");

    begins_anew(&subject.start_on(&*factory, guest.clone()).unwrap(), "a second instance");
    begins_anew(&subject.host(guest.clone()), "a module that was compiled again");
    Failure::TRAPPED.check(&host.call("trap", b"").unwrap_err());
    begins_anew(&host, "after a trap");
    host.replace(&guest.module.bytes).unwrap();
    begins_anew(&host, "after a replacement");
    let other = factory.with_module(&guest.module.bytes).unwrap();
    begins_anew(&subject.start_on(&*other, guest).unwrap(), "the same module of another factory");
}

fn seed_and_time_make_the_difference(subject: &Subject) {
    let see = |seed, clock| look(&subject.host(Guest::new(&look_around()).deterministic(seed, clock)));
    let here = see(SEED, CLOCK);
    for seed in [0, SEED + 1, SEED ^ (1 << 63)] {
        let there = see(seed, CLOCK);
        assert_ne!(there.random, here.random);
        assert_eq!((there.realtime, there.monotonic), (here.realtime, here.monotonic));
    }
    let later = see(SEED, CLOCK + Duration::from_nanos(1));
    assert_eq!(later, Seen { realtime: here.realtime + 1, ..here });
    assert_eq!(see(SEED, Duration::ZERO).realtime, 0);
}

fn arguments_and_the_older_name_change_nothing(subject: &Subject) {
    let plain = look(&subject.host(fixed(&look_around())));
    let argv = vec!["guest".to_owned(), "--verbose".to_owned()];
    let env_vars = vec![("NAME".to_owned(), "value".to_owned())];
    let params = WasiParams { argv, env_vars, ..WasiParams::default() };
    assert_eq!(look(&subject.host(fixed(&look_around()).wasi_params(params))), plain);
    assert_eq!(look(&subject.host(fixed(&world("wasi_unstable", "")))), plain);
}

fn a_start_uses_up_some_of_the_stream(subject: &Subject) {
    let start = r#"(func (export "_initialize") (drop (call $random_get (i32.const 16) (i32.const 32))))"#;
    let guest = Guest::new(&world("wasi_snapshot_preview1", start)).deterministic(0, CLOCK);
    let host = subject.host(guest);
    assert_eq!(look(&host).random, STREAM_OF_ZERO[32..]);
    Failure::TRAPPED.check(&host.call("trap", b"").unwrap_err());
    assert_eq!(look(&host).random, STREAM_OF_ZERO[32..]);
}

fn waits_move_the_clock_and_take_no_time(subject: &Subject) {
    const HOUR_MS: i32 = 3_600_000;
    const HOUR_NS: u64 = 3_600_000_000_000;
    let body = format!(
        r#"(func $clock_time_get (import "wasi_snapshot_preview1" "clock_time_get") (param i32 i64 i32) (result i32))
           {}
           (func (export "_start") (drop (call $sleep (i32.const {HOUR_MS}))))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 256) (i32.const 0))
             (i32.store (i32.const 528) (call $sleep (i32.load (i32.const 0))))
             (if (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 512)) (then unreachable))
             (if (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 520)) (then unreachable))
             (call $answer (i32.const 512) (i32.const 20)))"#,
        wasi::sleep(),
    );
    let (host, elapsed) = timed(|| subject.host(fixed(&body)));
    soon(elapsed, Duration::from_secs(2));
    let start = u64::try_from(CLOCK.as_nanos()).unwrap();
    for calls in 1..=3 {
        let (answer, elapsed) = timed(|| host.answer("run", &HOUR_MS.to_le_bytes()));
        soon(elapsed, Duration::from_secs(1));
        // The hour that the start waited counts, too.
        let passed = (calls + 1) * HOUR_NS;
        let [realtime, monotonic] = [start + passed, MONOTONIC + passed].map(u64::to_le_bytes);
        assert_eq!(answer, [&realtime[..], &monotonic, &[1, 0, 0, 0]].concat());
    }
}

/// Fills half a page, as often as the payload says. This burns much fuel in little time, whatever a
/// unit of fuel is.
const BURN: &str = r#"
  (func $burn (param $times i32) (param $bytes i32)
    (loop $again
      (memory.fill (i32.const 0) (local.get $times) (local.get $bytes))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $again (local.get $times))))
  (func $run (param $op i32) (param $msg i32) (result i32)
    (call $guest_request (i32.const 256) (i32.const 0))
    (call $burn (i32.load (i32.const 0)) (i32.const 32768))
    (call $answer_i32 (i32.const 7)))
"#;

fn an_endless_call_burns_the_default_fuel(subject: &Subject) {
    let host = subject.host(fixed(BURN));
    let error = host.fails("run", &(-1i32).to_le_bytes(), Failure::OUT_OF_FUEL);
    says(&error, &[&Limits::DETERMINISTIC_FUEL.to_string()]);
}

fn an_endless_start_burns_the_default_fuel(subject: &Subject) {
    let start = r#"(func (export "wapc_init") (call $burn (i32.const -1) (i32.const 32768)))"#;
    let error = subject.refuses(fixed(&format!("{start} {BURN}")), Failure::INIT_FAILED);
    assert_eq!(cause(&error).kind(), ErrorKind::OutOfFuel);
    says(cause(&error), &[&Limits::DETERMINISTIC_FUEL.to_string()]);
}

fn a_limit_of_fuel_that_is_set_replaces_the_default(subject: &Subject) {
    let host = subject.host(fixed(BURN));
    let [one, two] = [1i32, 2].map(|times| host.burns("run", &times.to_le_bytes()).1);
    // A tenth more than the default limit.
    let wanted = Limits::DETERMINISTIC_FUEL / 10 * 11;
    let times = i32::try_from(wanted / (two - one)).unwrap().to_le_bytes();
    let raised = Limits::new().fuel(2 * wanted);
    // The limit is raised on both sides, then on the host's side only.
    for guest in [fixed(BURN).limits(raised), fixed(BURN).host_limits(raised)] {
        let (answer, burnt) = subject.host(guest).burns("run", &times);
        assert_eq!(answer, 7i32.to_le_bytes());
        assert!(burnt > Limits::DETERMINISTIC_FUEL, "{burnt}");
    }
    let lowered = Limits::new().fuel(10_000_000);
    for guest in [fixed(BURN).limits(lowered), fixed(BURN).host_limits(lowered)] {
        says(subject.host(guest).fails("run", &times, Failure::OUT_OF_FUEL), &["10000000"]);
    }
}

/// Asks its host once in its start and once in each call, and answers what the host says.
const ASKER: &str = r#"
  (func (export "wapc_init") (if (i32.eqz (call $ask (i32.const 0) (i32.const 1))) (then unreachable)))
  (func $run (param i32 i32) (result i32) (call $relay (call $ask (i32.const 0) (i32.const 1))))
"#;

fn the_default_deadlines_do_not_apply(subject: &Subject) {
    let after = Limits::new().deadline_or_default() + Duration::from_millis(150);
    let guest = fixed(ASKER).host_calls_in_init();
    let host = subject.host(guest.handler(move |_| Answer::After(after, Ok(Bytes::from_static(b"late")))));
    assert_eq!(host.answer("run", b""), b"late");
    host.counted(2);
}

fn a_deadline_that_is_set_holds(subject: &Subject) {
    let deadline = Duration::from_millis(50);
    let limits = Limits::new().deadline(deadline);
    for guest in [fixed(SPIN).limits(limits), fixed(SPIN).host_limits(limits)] {
        let error = subject.host(guest).fails("run", b"", Failure::DEADLINE_IN_GUEST);
        deadline_in(&error, Phase::Guest);
    }
    let host = subject.host(fixed(SPIN));
    host.fails_with(Request::new("run", b"").deadline(deadline), Failure::DEADLINE_IN_GUEST);
    let endless = format!(r#"(func (export "wapc_init") (call $spin)) {ECHO}"#);
    let limits = Limits::new().init_deadline(deadline);
    assert!(subject.refuses(fixed(&endless).limits(limits), Failure::INIT_FAILED).is_deadline());
}

fn relaxed_simd_is_refused(subject: &Subject) {
    let plain = r#"(func $run (param i32 i32) (result i32)
        (call $answer_i32 (i32x4.extract_lane 2 (i32x4.add (v128.const i32x4 1 2 3 4) (i32x4.splat (i32.const 30))))))"#;
    assert_eq!(subject.host(fixed(plain)).number("run", b""), 33);
    let relaxed = [
        "(i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))",
        "(f32x4.relaxed_madd (v128.const i64x2 0 0) (v128.const i64x2 0 0) (v128.const i64x2 0 0))",
        "(f64x2.relaxed_min (v128.const i64x2 0 0) (v128.const i64x2 0 0))",
    ];
    for expression in relaxed {
        subject.refuses(fixed(&format!("(func (drop {expression})) {plain}")), Failure::INVALID_MODULE);
    }
}

/// Does a bit of everything; the length of the operation selects it. What it keeps in a global and
/// in its memory shows in the answers of later calls.
fn busybody() -> String {
    format!(
        r#"(func $clock_time_get (import "wasi_snapshot_preview1" "clock_time_get") (param i32 i64 i32) (result i32))
           (func $random_get (import "wasi_snapshot_preview1" "random_get") (param i32 i32) (result i32))
           {}
           (global $kept (mut i64) (i64.const 1))
           (func $collatz (param $n i64) (result i32)
             (local $steps i32)
             (block $done
               (loop $again
                 (br_if $done (i64.le_u (local.get $n) (i64.const 1)))
                 (local.set $n (if (result i64) (i64.eqz (i64.and (local.get $n) (i64.const 1)))
                   (then (i64.shr_u (local.get $n) (i64.const 1)))
                   (else (i64.add (i64.mul (local.get $n) (i64.const 3)) (i64.const 1)))))
                 (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
                 (br $again)))
             (local.get $steps))
           (func $run (param $op i32) (param $msg i32) (result i32)
             (call $guest_request (i32.const 512) (i32.const 1024))
             (if (call $random_get (i32.const 600) (i32.const 16)) (then unreachable))
             (if (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 616)) (then unreachable))
             (global.set $kept (i64.add
               (i64.mul (global.get $kept) (i64.const 6364136223846793005)) (i64.load (i32.const 600))))
             (i64.store (i32.const 624) (global.get $kept))
             ;; mix: arithmetic that takes as long as the random bytes say
             (if (i32.eq (local.get $op) (i32.const 3)) (then
               (f64.store (i32.const 632) (f64.sqrt (f64.abs (f64.convert_i64_s (global.get $kept)))))
               (i32.store (i32.const 640) (call $collatz (i64.load32_u (i32.const 600))))))
             ;; call: the host's answer is part of the answer
             (if (i32.eq (local.get $op) (i32.const 4)) (then
               (if (i32.eqz (call $ask (i32.const 600) (i32.const 32))) (then unreachable))
               (call $host_response (i32.const 644))))
             ;; grow!: so is the result of the growth
             (if (i32.eq (local.get $op) (i32.const 5)) (then
               (i32.store (i32.const 640) (memory.grow (i32.load (i32.const 1024))))))
             ;; trap!!
             (if (i32.eq (local.get $op) (i32.const 6)) (then (drop (i32.load (i32.const -8)))))
             ;; spin!!!
             (if (i32.eq (local.get $op) (i32.const 7)) (then (call $spin)))
             ;; fail!!!!
             (if (i32.eq (local.get $op) (i32.const 8)) (then
               (return (call $fail (i32.const 1024) (local.get $msg)))))
             ;; wait!!!!!
             (if (i32.eq (local.get $op) (i32.const 9)) (then (drop (call $sleep (i32.const 90000)))))
             (call $answer (i32.const 600) (i32.const 64)))"#,
        wasi::sleep(),
    )
}

/// How a call ended: its answer or its failure, and the fuel that it burnt.
type Ended = (Result<Vec<u8>, (ErrorKind, String, Option<String>)>, Option<u64>);

fn ended(host: &Host, op: &str, payload: &[u8]) -> Ended {
    match host.call_with(Request::new(op, payload).usage(true)) {
        Ok(response) => (Ok(response.payload), response.usage.and_then(|usage| usage.fuel)),
        Err(error) => {
            let fuel = error.usage().and_then(|usage| usage.fuel);
            let text = error.guest_error().map(str::to_owned);
            (Err((error.kind(), error.to_string(), text)), fuel)
        }
    }
}

const SCRIPT: &[(&str, &[u8])] = &[
    ("mix", b""),
    ("call", b""),
    ("wait!!!!!", b""),
    ("mix", b""),
    ("grow!", &[3, 0, 0, 0]),
    ("fail!!!!", b"as told"),
    ("call", b""),
    ("trap!!", b""),
    ("mix", b""),
    ("grow!", &[0, 0, 1, 0]),
    ("trap!!", b""),
    ("call", b""),
    ("spin!!!", b""),
    ("mix", b""),
    ("wait!!!!!", b""),
    ("mix", b""),
];

fn busy(subject: &Subject, late: Option<Duration>) -> Host {
    // The host's answer depends only on the payload.
    let guest = fixed(&busybody()).limits(Limits::new().fuel(3_000_000)).handler(move |call| {
        let said = Ok(call.payload.iter().rev().take(16).copied().collect::<Vec<u8>>().into());
        match late {
            None => Answer::Now(said),
            Some(time) => Answer::After(time, said),
        }
    });
    subject.host(guest)
}

fn the_same_calls_run_alike_twice(subject: &Subject) {
    // Two hosts make the calls in turn; one of them has a slow handler.
    let hosts = [busy(subject, None), busy(subject, Some(Duration::from_millis(4)))];
    let mut runs = [Vec::new(), Vec::new()];
    for (op, payload) in SCRIPT {
        for (host, run) in hosts.iter().zip(&mut runs) {
            run.push(ended(host, op, payload));
        }
    }
    assert_eq!(runs[0], runs[1]);
    // The calls also end as intended.
    let kinds: Vec<_> =
        runs[0].iter().map(|(ended, _)| ended.as_ref().err().map(|failure| failure.0)).collect();
    let (fine, failed) = (None, Some(ErrorKind::GuestFailed));
    let (trapped, burnt) = (Some(ErrorKind::Trapped), Some(ErrorKind::OutOfFuel));
    assert_eq!(
        kinds,
        [
            fine, fine, fine, fine, fine, failed, fine, trapped, fine, fine, trapped, fine, burnt, fine,
            fine, fine
        ]
    );
    assert!(runs[0].iter().all(|(_, fuel)| fuel.is_some_and(|fuel| fuel > 0)), "{:?}", runs[0]);
    let answer = |index: usize| runs[0][index].0.as_ref().unwrap();
    assert_ne!(answer(0), answer(3), "the guest changes from call to call");
    assert_eq!(answer(9)[40..44], (-1i32).to_le_bytes(), "the growth over the limit");
    assert_eq!(answer(0), answer(13), "each fresh instance starts over");
}

fn the_same_calls_run_alike_in_another_mode(subject: &Subject) {
    let other = subject.in_mode(if subject.mode() == Mode::Sync { Mode::Async } else { Mode::Sync });
    let run = |subject: &Subject| {
        let host = busy(subject, None);
        SCRIPT.iter().map(|(op, payload)| ended(&host, op, payload)).collect::<Vec<_>>()
    };
    assert_eq!(run(subject), run(&other));
}

fn a_guest_of_another_hand_runs_alike_twice(subject: &Subject) {
    let bytes = Arc::new(subject.built_guest("rust.wasm"));
    let long: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let script: [(&str, &[u8]); 8] = [
        ("echo", b"hello"),
        ("host", b"round trip"),
        ("fail", b"no tea"),
        ("log", b"a line"),
        ("echo", &long),
        ("panic", b"no milk"),
        ("host", b"after the panic"),
        ("echo", b"hello"),
    ];
    let run = || {
        let guest = Guest::binary(bytes.to_vec()).deterministic(SEED, CLOCK);
        let host = subject.host(guest.answers(|call| Ok(Bytes::copy_from_slice(call.payload))));
        script.iter().map(|(op, payload)| ended(&host, op, payload)).collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(run(), first);
    let answers: Vec<_> = first.iter().map(|(ended, _)| ended.as_deref().ok()).collect();
    assert_eq!(answers[0], Some(&b"hello"[..]));
    assert_eq!(answers[1], Some(&b"round trip"[..]));
    assert_eq!((answers[2], answers[5]), (None, None));
    assert_eq!(answers[4], Some(&long[..]));
    assert_eq!(first[7].0, first[0].0);
    assert!(first.iter().all(|(_, fuel)| fuel.is_some_and(|fuel| fuel > 0)), "no fuel in {first:?}");
}
