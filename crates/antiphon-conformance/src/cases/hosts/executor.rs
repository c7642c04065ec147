//! What an asynchronous host must leave to its executor, and what it must not need from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::errors::Phase;
use antiphon::{Limits, Request, block_on};
use tokio::runtime::Builder;

use crate::cases::{ECHO, RELAY, SPIN};
use crate::suite::{Case, Guest, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, deadline_in, says, took};

pub(super) const CASES: &[Case] = &[
    case!(executor::beside_a_spinning_guest_timers_fire_within_two_ticks)
        .needs(&[Need::Suspend, Need::Deadline])
        .only(&[Mode::Async])
        .alone(),
    case!(executor::on_one_thread_a_spinning_guest_ends_at_its_deadline)
        .needs(&[Need::Deadline])
        .only(Mode::ASYNC),
    case!(executor::on_a_busy_thread_a_start_without_end_ends_with_the_text_that_programs_match_on)
        .needs(&[Need::Deadline])
        .only(Mode::ASYNC),
    case!(executor::on_one_thread_other_tasks_run_during_a_host_call)
        .needs(&[Need::Suspend])
        .only(Mode::ASYNC),
    case!(executor::without_any_runtime_calls_are_served).only(Mode::ASYNC),
    case!(executor::without_any_runtime_deadlines_hold)
        .needs(&[Need::Deadline, Need::Suspend])
        .only(Mode::ASYNC),
    case!(executor::a_host_moves_between_runtimes).only(Mode::ASYNC),
];

const TICK: Duration = Duration::from_millis(5);

/// Measures how late timers of 5 ms fire while a guest spins for `time`; the result is sorted.
fn lateness(subject: &Subject, time: Duration) -> Vec<Duration> {
    let guest = Guest::new(SPIN).limits(Limits::new().deadline(time));
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let host = Arc::new(runtime.block_on(subject.start_async(guest)).unwrap());
    let spinning = Arc::clone(&host);
    // Taken before the guest runs: timers that start after it would measure nothing.
    let started = Instant::now();
    let spinner = runtime.spawn(async move { spinning.call("run", b"").await.unwrap_err() });
    // The timers run as a task, so they share the worker with the guest. The thread of `block_on`
    // is another one.
    let timers = runtime.spawn(async move {
        let mut late = Vec::new();
        while started.elapsed() + 8 * TICK < time {
            let asked = Instant::now();
            tokio::time::sleep(TICK).await;
            late.push(asked.elapsed().saturating_sub(TICK));
        }
        late.sort();
        late
    });
    let late = runtime.block_on(timers).unwrap();
    let error = runtime.block_on(spinner).unwrap();
    deadline_in(&error, Phase::Guest);
    late
}

fn beside_a_spinning_guest_timers_fire_within_two_ticks(subject: &Subject) {
    // A busy machine can spoil a measurement but never improve it, so the best of eight counts.
    let mut best = Duration::MAX;
    for _ in 0..8 {
        let late = lateness(subject, Duration::from_secs(1));
        assert!(late.len() > 33, "only {} timers fired in 1 s", late.len());
        let at = |percent: usize| late[(late.len() * percent / 100).min(late.len() - 1)];
        println!(
            "beside a spinning guest, {} timers of 5 ms were late by: median {:?}, 99th percentile {:?}, most {:?}",
            late.len(),
            at(50),
            at(99),
            at(100),
        );
        best = best.min(at(99));
        if best <= 2 * TICK {
            return;
        }
    }
    panic!("at the 99th percentile timers were {best:?} late, more than two ticks");
}

fn on_one_thread_a_spinning_guest_ends_at_its_deadline(subject: &Subject) {
    let deadline = Duration::from_millis(150);
    let guest = Guest::new(SPIN).limits(Limits::new().deadline(deadline));
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let host = subject.start_async(guest).await.unwrap();
        let started = Instant::now();
        let error = host.call("run", b"").await.unwrap_err();
        Failure::DEADLINE_IN_GUEST.check(&error);
        deadline_in(&error, Phase::Guest);
        took(started.elapsed(), deadline);
    });
}

fn on_a_busy_thread_a_start_without_end_ends_with_the_text_that_programs_match_on(subject: &Subject) {
    // Each of the other tasks holds the thread for a while at every poll, so the guest gets to its
    // deadline late.
    let guest = Guest::new(
        r#"(func (export "_start") (call $spin))
           (func $run (param i32 i32) (result i32) (i32.const 1))"#,
    )
    .limits(Limits::new().init_deadline(Duration::from_millis(50)));
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..4 {
            tokio::spawn(async {
                loop {
                    std::thread::sleep(Duration::from_millis(1));
                    tokio::task::yield_now().await;
                }
            });
        }
        let error = subject.start_async(guest).await.unwrap_err();
        Failure::INIT_FAILED.check(&error);
        assert!(error.is_deadline(), "{error:#?}");
        // The host may notice first, and does not know which function ran.
        says(&error, &["Initialization failed: ", " init interrupted, execution deadline exceeded"]);
    });
}

fn on_one_thread_other_tasks_run_during_a_host_call(subject: &Subject) {
    // The handler waits for a message that only another task of this thread sends.
    let (send, receive) = tokio::sync::watch::channel(0u8);
    let guest = Guest::new(RELAY).handler(move |_| {
        let mut receive = receive.clone();
        Answer::Later(Box::pin(async move {
            receive.wait_for(|value| *value == 7).await.map_err(|error| error.to_string())?;
            Ok("heard".into())
        }))
    });
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let host = subject.start_async(guest).await.unwrap();
        let sender = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            send.send(7)
        });
        assert_eq!(host.call("run", b"").await.unwrap(), b"heard");
        sender.await.unwrap().unwrap();
    });
}

fn without_any_runtime_calls_are_served(subject: &Subject) {
    block_on(async {
        let host = subject.start_async(Guest::new(ECHO)).await.unwrap();
        assert_eq!(host.call("echo", b"no runtime").await.unwrap(), b"no runtime");
        let other = Guest::new("(func $run (param i32 i32) (result i32) (call $answer_i32 (i32.const 1)))");
        host.replace_module(&other.module.bytes).await.unwrap();
        assert_eq!(host.call("run", b"").await.unwrap(), 1i32.to_le_bytes());
    });
}

fn without_any_runtime_deadlines_hold(subject: &Subject) {
    let deadline = Duration::from_millis(120);
    block_on(async {
        let waiting = subject.start_async(Guest::new(RELAY).handler(|_| Answer::Never)).await.unwrap();
        let spinning = subject.start_async(Guest::new(SPIN)).await.unwrap();
        for (host, phase) in [(&waiting, Phase::HostCall), (&spinning, Phase::Guest)] {
            let started = Instant::now();
            let error = host.call_with(Request::new("run", b"").deadline(deadline)).await.unwrap_err();
            deadline_in(&error, phase);
            took(started.elapsed(), deadline);
        }
    });
}

fn a_host_moves_between_runtimes(subject: &Subject) {
    let host = block_on(subject.start_async(Guest::new(ECHO))).unwrap();
    for _ in 0..3 {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(runtime.block_on(host.call("echo", b"here")).unwrap(), b"here");
    }
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let answer = runtime.block_on(async {
        let host = Arc::new(host);
        let task = Arc::clone(&host);
        tokio::spawn(async move { task.call("#", b"").await }).await.unwrap()
    });
    assert_eq!(answer.unwrap(), subject.count_after(4).to_le_bytes());
}
