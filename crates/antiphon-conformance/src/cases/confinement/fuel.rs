//! Fuel: counted, limited for each call and each start, and never lost. What a unit is depends on
//! the engine, so these cases compare runs with one another.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, HostCallError, Limits, Request};

use crate::cases::{ECHO, SPIN};
use crate::suite::{Case, Guest, Job, Need, Subject, case};
use crate::support::{Answer, Failure, cause, says};

const NEEDS: &[Need] = &[Need::Fuel];

pub(super) const CASES: &[Case] = &[
    case!(fuel::the_same_call_burns_the_same_fuel).needs(NEEDS),
    case!(fuel::more_work_burns_more_fuel).needs(NEEDS),
    case!(fuel::hosts_that_run_at_once_share_none).needs(NEEDS),
    case!(fuel::usage_has_fuel_where_the_engine_counts_it),
    case!(fuel::a_call_that_burns_its_fuel_ends).needs(NEEDS),
    case!(fuel::endless_work_of_other_shapes_ends_too).needs(NEEDS),
    case!(fuel::a_limit_of_what_a_call_burns_is_enough).needs(NEEDS),
    case!(fuel::each_call_has_all_of_it).needs(NEEDS),
    case!(fuel::what_a_trapped_call_burnt_is_reported).needs(NEEDS),
    case!(fuel::a_start_that_burns_its_fuel_fails).needs(NEEDS),
    case!(fuel::a_start_has_one_limit_for_all_its_functions).needs(NEEDS),
    case!(fuel::a_start_and_the_call_after_it_have_a_limit_each).needs(NEEDS),
    case!(fuel::host_calls_lose_no_count).needs(NEEDS),
    case!(fuel::a_handler_that_calls_another_guest_burns_none_of_its_callers).needs(NEEDS),
    case!(fuel::the_stricter_of_host_and_provider_holds).needs(NEEDS),
    case!(fuel::a_limit_that_only_the_host_sets_holds_or_is_refused),
    case!(fuel::no_limit_is_a_limit_that_can_be_set).needs(&[Need::Fuel, Need::Deadline]),
    case!(fuel::running_out_after_a_refused_growth_is_no_memory_limit)
        .needs(&[Need::Fuel, Need::MemoryLimit]),
    case!(fuel::a_replaced_module_keeps_the_limit).needs(NEEDS),
    case!(fuel::a_module_whose_start_burns_its_fuel_leaves_the_old_one_serving).keeps_state().needs(NEEDS),
];

/// Adds up the numbers from 1 to the payload's in a loop, and answers the sum. `trap!` traps
/// afterwards.
pub(super) const WORK: &str = r#"
  (func $work (param $n i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $sum (i32.add (local.get $sum) (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
    (local.get $sum))
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $sum i32)
    (call $guest_request (i32.const 256) (i32.const 0))
    (local.set $sum (call $work (i32.load (i32.const 0))))
    (if (i32.eq (local.get $op) (i32.const 5)) (then unreachable))
    (call $answer_i32 (local.get $sum)))
"#;

/// A limit that no case reaches.
const AMPLE: u64 = 1 << 40;

fn limited(body: &str, fuel: u64) -> Guest {
    Guest::new(body).limits(Limits::new().fuel(fuel))
}

pub(super) fn work(amount: i32) -> [u8; 4] {
    amount.to_le_bytes()
}

/// Returns what 10,000 rounds of [`WORK`] burn, without the code around them.
fn fuel_of_ten_thousand(subject: &Subject) -> u64 {
    let host = subject.host(limited(WORK, AMPLE));
    host.burns("run", &work(20_000)).1 - host.burns("run", &work(10_000)).1
}

fn the_same_call_burns_the_same_fuel(subject: &Subject) {
    let guest = limited(WORK, AMPLE);
    let factory = subject.factory(&guest).unwrap();
    let host = subject.start_on(&*factory, guest.clone()).unwrap();
    // One host of this factory, and one whose module is compiled again.
    let others = [subject.start_on(&*factory, guest.clone()).unwrap(), subject.host(guest)];
    for amount in [0, 1, 1_000, 50_000] {
        let first = host.burns("run", &work(amount));
        assert!(first.1 > 0);
        assert_eq!(first.0, work((1..=amount).sum()));
        for host in [&host, &others[0], &others[1], &host] {
            assert_eq!(host.burns("run", &work(amount)), first, "{amount} rounds");
        }
        // A fresh instance burns exactly as much as the one before.
        host.fails("trap!", &work(1), Failure::TRAPPED);
        assert_eq!(host.burns("run", &work(amount)), first, "{amount} rounds after a trap");
    }
}

fn more_work_burns_more_fuel(subject: &Subject) {
    let host = subject.host(limited(WORK, AMPLE));
    let [one, two, three] = [1_000, 2_000, 3_000].map(|amount| host.burns("run", &work(amount)).1);
    assert_eq!(two - one, three - two, "each round burns the same");
    assert!(two - one >= 1_000, "a round burns something: {one}, {two}");
}

fn hosts_that_run_at_once_share_none(subject: &Subject) {
    let guest = limited(WORK, AMPLE);
    let factory = subject.factory(&guest).unwrap();
    let alone = subject.start_on(&*factory, guest.clone()).unwrap().burns("run", &work(200_000));
    let jobs: Vec<_> = (0..6)
        .map(|_| {
            let host = subject.start_on(&*factory, guest.clone()).unwrap();
            Job::start(subject.mode(), async move {
                let payload = work(200_000);
                let response = host.call_later(Request::new("run", &payload[..]).usage(true)).await.unwrap();
                (response.payload, response.usage.unwrap().fuel.unwrap())
            })
        })
        .collect();
    for job in jobs {
        assert_eq!(job.join(), alone);
    }
}

fn usage_has_fuel_where_the_engine_counts_it(subject: &Subject) {
    let guest = Guest::new(ECHO);
    let factory = subject.factory(&guest).unwrap();
    let counted = factory.capabilities().fuel;
    let host = subject.start_on(&*factory, guest).unwrap();
    let usage = host.call_with(Request::new("echo", b"x").usage(true)).unwrap().usage.unwrap();
    assert_eq!(usage.fuel.is_some(), counted, "{usage:?}");
}

fn a_call_that_burns_its_fuel_ends(subject: &Subject) {
    let host = subject.host(limited(SPIN, 1_000_000));
    for _ in 0..3 {
        let error = host.fails_with(Request::new("run", b"").usage(true), Failure::OUT_OF_FUEL);
        says(&error, &["fuel", "1000000"]);
        assert!(error.is_limit());
        assert!(!error.is_deadline());
        let burnt = error.usage().and_then(|usage| usage.fuel).expect("the fuel of a call that failed");
        assert!((990_000..=1_000_000).contains(&burnt), "{burnt} of 1000000 units burnt");
    }
}

fn endless_work_of_other_shapes_ends_too(subject: &Subject) {
    // No loops: each function calls the next one twice.
    let tree: String = (0..40)
        .map(|level| format!("(func $f{level} (call $f{next}) (call $f{next}))\n", next = level + 1))
        .collect();
    let shapes = [
        format!("{tree} (func $f40) (func $run (param i32 i32) (result i32) (call $f0) (i32.const 1))"),
        "(func $run (param i32 i32) (result i32)
           (loop $again (memory.fill (i32.const 0) (i32.const 1) (local.get 1)) (br $again))
           (i32.const 1))"
            .to_owned(),
        "(func $run (param i32 i32) (result i32)
           (loop $again (drop (call $host_response_len)) (br $again))
           (i32.const 1))"
            .to_owned(),
        "(func $run (param i32 i32) (result i32)
           (loop $again (drop (call $ask (i32.const 0) (i32.const 0))) (br $again))
           (i32.const 1))"
            .to_owned(),
        "(func $run (param i32 i32) (result i32) (return_call $run (local.get 0) (local.get 1)))".to_owned(),
    ];
    let limits = Limits::new().fuel(100_000).host_calls(u64::MAX).host_call_bytes(u64::MAX);
    for body in shapes {
        let host = subject.host(Guest::new(&body).limits(limits).answers(|_| Ok(Bytes::new())));
        let error = host.fails("run", b"ten bytes!", Failure::OUT_OF_FUEL);
        says(&error, &["100000"]);
    }
}

fn a_limit_of_what_a_call_burns_is_enough(subject: &Subject) {
    let (answer, fuel) = subject.host(limited(WORK, AMPLE)).burns("run", &work(10_000));
    let host = subject.host(limited(WORK, fuel));
    for _ in 0..3 {
        assert_eq!(host.burns("run", &work(10_000)), (answer.clone(), fuel));
        // An engine may check its fuel only once in each round.
        let error = host.fails("run", &work(10_100), Failure::OUT_OF_FUEL);
        says(&error, &[&fuel.to_string()]);
    }
}

fn each_call_has_all_of_it(subject: &Subject) {
    let fuel = subject.host(limited(WORK, AMPLE)).burns("run", &work(10_000)).1;
    let host = subject.host(limited(WORK, fuel + fuel / 2));
    for _ in 0..20 {
        assert_eq!(host.burns("run", &work(10_000)).1, fuel);
    }
    host.fails("run", &work(20_000), Failure::OUT_OF_FUEL);
    assert_eq!(host.burns("run", &work(10_000)).1, fuel);
}

fn what_a_trapped_call_burnt_is_reported(subject: &Subject) {
    let host = subject.host(limited(WORK, AMPLE));
    let burnt = |amount| {
        let payload = work(amount);
        let error = host.fails_with(Request::new("trap!", &payload[..]).usage(true), Failure::TRAPPED);
        error.usage().and_then(|usage| usage.fuel).expect("the fuel of a call that trapped")
    };
    let [one, again, two] = [1_000, 1_000, 2_000].map(burnt);
    assert_eq!(one, again);
    assert!(two >= one + 1_000, "{one}, {two}");
}

fn a_start_that_burns_its_fuel_fails(subject: &Subject) {
    let starts = [
        ("start section", "(start $spin)"),
        ("_initialize", r#"(func (export "_initialize") (call $spin))"#),
        ("_start", r#"(func (export "_start") (call $spin))"#),
        ("wapc_init", r#"(func (export "wapc_init") (call $spin))"#),
    ];
    for (function, start) in starts {
        let error = subject.refuses(limited(&format!("{start} {ECHO}"), 1_000_000), Failure::INIT_FAILED);
        says(&error, &[function]);
        let cause = cause(&error);
        assert_eq!(cause.kind(), ErrorKind::OutOfFuel);
        says(cause, &["fuel", "1000000"]);
        assert!(!error.is_deadline());
    }
}

/// Returns [`WORK`] with a start that does as many rounds in each of these functions.
fn starter(names: &[&str], rounds: i32) -> String {
    let start = |name: &&str| match *name {
        "start section" => format!("(start $begin) (func $begin (drop (call $work (i32.const {rounds}))))"),
        name => format!(r#"(func (export "{name}") (drop (call $work (i32.const {rounds}))))"#),
    };
    names.iter().map(start).collect::<String>() + WORK
}

fn a_start_has_one_limit_for_all_its_functions(subject: &Subject) {
    let fuel = fuel_of_ten_thousand(subject) * 5 / 2;
    let two: [&[&str]; 3] =
        [&["start section", "_initialize"], &["_start", "wapc_init"], &["start section", "wapc_init"]];
    for names in two {
        subject.host(limited(&starter(names, 10_000), fuel));
    }
    let three: [&[&str]; 2] =
        [&["start section", "_initialize", "_start"], &["_initialize", "_start", "wapc_init"]];
    for names in three {
        let error = subject.refuses(limited(&starter(names, 10_000), fuel), Failure::INIT_FAILED);
        says(&error, &[names[2]]);
        assert_eq!(cause(&error).kind(), ErrorKind::OutOfFuel);
    }
}

fn a_start_and_the_call_after_it_have_a_limit_each(subject: &Subject) {
    let fuel = fuel_of_ten_thousand(subject) * 5 / 2;
    let host = subject.host(limited(&starter(&["_initialize", "wapc_init"], 10_000), fuel));
    let burnt = subject.host(limited(WORK, AMPLE)).burns("run", &work(20_000)).1;
    assert_eq!(host.burns("run", &work(20_000)).1, burnt, "nothing of the start");
    for _ in 0..3 {
        host.fails("run", &work(30_000), Failure::OUT_OF_FUEL);
        // The call that rebuilds the instance serves within its limit, too.
        host.fails("trap!", &work(0), Failure::TRAPPED);
        assert_eq!(host.burns("run", &work(20_000)).1, burnt, "nothing of the rebuild");
    }
}

/// Calls the host as many times as the payload says, and adds up the answers.
const CALLER: &str = r#"
  (func $run (param i32 i32) (result i32)
    (local $left i32) (local $sum i32)
    (call $guest_request (i32.const 256) (i32.const 0))
    (local.set $left (i32.load (i32.const 0)))
    (loop $again
      (if (i32.eqz (call $ask (i32.const 0) (i32.const 4))) (then unreachable))
      (call $host_response (i32.const 512))
      (local.set $sum (i32.add (local.get $sum) (i32.load (i32.const 512))))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (call $answer_i32 (local.get $sum)))
"#;

fn seven() -> Bytes {
    Bytes::copy_from_slice(&work(7))
}

fn host_calls_lose_no_count(subject: &Subject) {
    let host = subject.host(limited(CALLER, AMPLE).answers(|_| Ok(seven())));
    let burnt = [10, 20, 30].map(|calls| {
        let (answer, fuel) = host.burns("run", &work(calls));
        assert_eq!(answer, work(7 * calls));
        fuel
    });
    assert_eq!(burnt[1] - burnt[0], burnt[2] - burnt[1]);
    assert!(burnt[1] - burnt[0] >= 10, "{burnt:?}");

    // A guest burns nothing while it is suspended.
    let after = Duration::from_millis(3);
    let patient = subject.host(limited(CALLER, AMPLE).handler(move |_| Answer::After(after, Ok(seven()))));
    assert_eq!(patient.burns("run", &work(10)), (work(70).to_vec(), burnt[0]));

    // A host call gives no fuel back.
    let host = subject.host(limited(CALLER, burnt[1]).answers(|_| Ok(seven())));
    assert_eq!(host.burns("run", &work(20)).1, burnt[1]);
    host.fails("run", &work(100), Failure::OUT_OF_FUEL);
}

fn a_handler_that_calls_another_guest_burns_none_of_its_callers(subject: &Subject) {
    let alone = subject.host(limited(CALLER, AMPLE).answers(|_| Ok(seven()))).burns("run", &work(10));
    let inner = Arc::new(subject.host(limited(WORK, AMPLE)));
    let inner_alone = inner.burns("run", &work(5_000)).1;
    let host = subject.host(limited(CALLER, AMPLE).handler(move |_| {
        let inner = Arc::clone(&inner);
        Answer::Later(Box::pin(async move {
            let payload = work(5_000);
            let called = inner.call_later(Request::new("run", &payload[..]).usage(true)).await;
            let usage = called.map_err(|error| HostCallError::new(error.to_string()))?.usage;
            match usage.and_then(|usage| usage.fuel) {
                Some(fuel) if fuel == inner_alone => Ok(seven()),
                other => Err(HostCallError::new(format!("{other:?} burnt inside"))),
            }
        }))
    }));
    assert_eq!(host.burns("run", &work(10)), alone);
}

fn the_stricter_of_host_and_provider_holds(subject: &Subject) {
    let [strict, lax] = [500_000, 600_000].map(|fuel| Limits::new().fuel(fuel));
    for (provider, host) in [(strict, lax), (lax, strict), (strict, Limits::new())] {
        let host = subject.host(Guest::new(SPIN).limits(provider).host_limits(host));
        says(host.fails("run", b"", Failure::OUT_OF_FUEL), &["500000"]);
    }
}

fn a_limit_that_only_the_host_sets_holds_or_is_refused(subject: &Subject) {
    let guest = Guest::new(SPIN).host_limits(Limits::new().fuel(500_000));
    if subject.factory(&guest).unwrap().capabilities().fuel {
        says(subject.host(guest).fails("run", b"", Failure::OUT_OF_FUEL), &["500000"]);
    } else {
        says(subject.refuses(guest, Failure::UNSUPPORTED), &["fuel"]);
    }
}

fn no_limit_is_a_limit_that_can_be_set(subject: &Subject) {
    let fuel = subject.host(limited(WORK, AMPLE)).burns("run", &work(1_000));
    assert_eq!(subject.host(limited(WORK, u64::MAX)).burns("run", &work(1_000)), fuel);
    let limits = Limits::new().fuel(u64::MAX).deadline(Duration::from_millis(100));
    let host = subject.host(Guest::new(SPIN).limits(limits));
    host.fails("run", b"", Failure::DEADLINE_IN_GUEST);
}

fn running_out_after_a_refused_growth_is_no_memory_limit(subject: &Subject) {
    let host = subject.host(limited(
        "(func $run (param i32 i32) (result i32)
           (if (i32.ne (memory.grow (i32.const 60000)) (i32.const -1)) (then unreachable))
           (call $spin)
           (i32.const 1))",
        100_000,
    ));
    host.fails("run", b"", Failure::OUT_OF_FUEL);
}

fn a_replaced_module_keeps_the_limit(subject: &Subject) {
    let host = subject.host(limited(ECHO, 300_000));
    host.replace(&Guest::new(SPIN).module.bytes).unwrap();
    says(host.fails("run", b"", Failure::OUT_OF_FUEL), &["300000"]);
}

fn a_module_whose_start_burns_its_fuel_leaves_the_old_one_serving(subject: &Subject) {
    let host = subject.host(limited(ECHO, 300_000));
    let endless = Guest::new(&format!(r#"(func (export "wapc_init") (call $spin)) {ECHO}"#));
    let error = host.replace(&endless.module.bytes).unwrap_err();
    Failure::REPLACE_FAILED.check(&error);
    let innermost = std::iter::successors(Some(&error), |error| {
        std::error::Error::source(*error).and_then(|source| source.downcast_ref::<Error>())
    });
    assert_eq!(innermost.last().map(Error::kind), Some(ErrorKind::OutOfFuel), "{error:#?}");
    assert_eq!((host.answer("echo", b"on"), host.count()), (b"on".to_vec(), 2));
}
