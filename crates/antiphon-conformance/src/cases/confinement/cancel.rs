//! Calls that are ended from outside: by a cancel handle, or by dropping their future.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{Bytes, CancelHandle, Limits, Request, WapcHostAsync};

use crate::cases::{ECHO, RELAY, SPIN, echo};
use crate::suite::{Case, Guest, Host, Mode, Need, Subject, case};
use crate::support::{Answer, Failure, Process, runtime, says, soon, timed};

pub(super) const CASES: &[Case] = &[
    case!(cancel::a_guest_that_loops_is_cancelled_from_another_thread).needs(&[Need::Deadline]),
    case!(cancel::a_pending_host_call_is_cancelled_from_another_thread),
    case!(cancel::a_call_that_waits_for_a_busy_host_is_cancelled_from_another_thread),
    case!(cancel::a_handle_that_was_used_lets_no_call_begin),
    case!(cancel::a_handle_that_is_not_used_changes_nothing),
    case!(cancel::one_handle_ends_several_calls).needs(&[Need::Deadline]),
    case!(cancel::a_host_that_is_stopped_ends_its_calls_and_those_of_no_other).needs(&[Need::Deadline]),
    case!(cancel::a_host_that_is_stopped_ends_what_waits_for_it),
    case!(cancel::a_host_that_is_stopped_starts_no_guest).needs(&[Need::Deadline]),
    case!(cancel::an_inner_call_is_cancelled_with_the_outer_one).needs(&[Need::Deadline]),
    case!(cancel::a_dropped_call_costs_the_instance_only_if_it_had_begun)
        .needs(&[Need::Suspend])
        .only(&[Mode::Async]),
    case!(cancel::a_dropped_start_leaves_nothing).needs(&[Need::Suspend]).only(&[Mode::Async]),
    case!(cancel::ten_thousand_dropped_calls_leak_nothing)
        .needs(&[Need::Suspend])
        .only(&[Mode::Async])
        .alone(),
];

const MS: Duration = Duration::from_millis(1);

/// Makes a call that is cancelled after 100 ms, and checks that it ends soon after.
#[track_caller]
fn cancelled_soon(host: &Host, limit: Duration, expected: Failure) {
    let cancel = CancelHandle::new();
    let canceller = cancel.clone();
    let thread = thread::spawn(move || {
        thread::sleep(100 * MS);
        canceller.cancel();
    });
    let request = Request::new("run", b"").cancel(cancel);
    let (error, elapsed) = timed(|| host.call_with(request).unwrap_err());
    thread.join().unwrap();
    expected.check(&error);
    assert!(error.is_cancelled() && !error.is_deadline());
    soon(elapsed, limit);
}

fn a_guest_that_loops_is_cancelled_from_another_thread(subject: &Subject) {
    let host = subject.host(Guest::new(SPIN).patient());
    host.counted(1);
    cancelled_soon(&host, 100 * MS, Failure::CANCELLED);
    host.counted(1);
}

fn a_pending_host_call_is_cancelled_from_another_thread(subject: &Subject) {
    // A synchronous handler cannot be interrupted: the host checks the handle when it returns.
    let host = subject.host(
        Guest::new(RELAY)
            .patient()
            .handler(|_| Answer::After(2000 * MS, Ok(Bytes::from_static(b"too late")))),
    );
    host.counted(1);
    let limit = if subject.mode() == Mode::Sync { 2000 * MS } else { 100 * MS };
    cancelled_soon(&host, limit, Failure::CANCELLED);
    host.counted(1);
}

fn a_call_that_waits_for_a_busy_host_is_cancelled_from_another_thread(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).patient().handler(|call| Answer::After(2000 * MS, echo(call))));
    host.counted(1);
    thread::scope(|scope| {
        let busy = scope.spawn(|| host.answer("run", b"busy"));
        thread::sleep(50 * MS);
        cancelled_soon(&host, 100 * MS, Failure::CANCELLED_BEFORE);
        assert_eq!(busy.join().unwrap(), b"busy", "the call that was running is not disturbed");
    });
    // The cancelled call never reached the guest.
    host.counted(3);
}

fn a_handle_that_was_used_lets_no_call_begin(subject: &Subject) {
    let host = subject.host(Guest::new(ECHO));
    let cancel = CancelHandle::new();
    cancel.cancel();
    assert!(cancel.is_cancelled());
    for _ in 0..2 {
        host.fails_with(Request::new("echo", b"").cancel(cancel.clone()), Failure::CANCELLED_BEFORE);
    }
}

fn a_handle_that_is_not_used_changes_nothing(subject: &Subject) {
    let host = subject.host(Guest::new(RELAY).handler(|call| Answer::After(10 * MS, echo(call))));
    let cancel = CancelHandle::new();
    for _ in 0..3 {
        let request = Request::new("run", b"on").cancel(cancel.clone());
        assert_eq!(host.call_with(request).unwrap().payload, b"on");
    }
    // A handle that is used between calls does not affect calls made without it.
    cancel.cancel();
    assert_eq!(host.answer("run", b"on"), b"on");
    host.counted(5);
}

fn one_handle_ends_several_calls(subject: &Subject) {
    let hosts = [subject.host(Guest::new(SPIN)), subject.host(Guest::new(SPIN))];
    let cancel = CancelHandle::new();
    let mut cancelled = Instant::now();
    thread::scope(|scope| {
        for host in &hosts {
            let cancel = cancel.clone();
            scope.spawn(move || {
                let request = Request::new("run", b"").cancel(cancel).deadline(Duration::from_secs(60));
                Failure::CANCELLED.check(&host.call_with(request).unwrap_err());
            });
        }
        thread::sleep(100 * MS);
        cancel.cancel();
        cancelled = Instant::now();
    });
    soon(cancelled.elapsed(), Duration::ZERO);
}

fn a_host_that_is_stopped_ends_its_calls_and_those_of_no_other(subject: &Subject) {
    let stop = CancelHandle::new();
    let stopped = subject.host(Guest::new(SPIN).patient().stop(&stop));
    let other = subject.host(Guest::new(SPIN).patient());
    let ends = CancelHandle::new();
    thread::scope(|scope| {
        let plain = scope.spawn(|| stopped.call("run", b"").unwrap_err());
        let cancel = ends.clone();
        let beside = scope.spawn(|| {
            let error = other.call_with(Request::new("run", b"").cancel(cancel)).unwrap_err();
            (error, Instant::now())
        });
        thread::sleep(100 * MS);
        let since = Instant::now();
        stop.cancel();
        let error = plain.join().unwrap();
        Failure::CANCELLED.check(&error);
        says(error.to_string(), &["the host was stopped"]);
        soon(since.elapsed(), Duration::ZERO);
        // A call that begins after the stop ends at once.
        let (error, elapsed) = timed(|| stopped.call("run", b"").unwrap_err());
        assert!(error.is_cancelled(), "{error}");
        soon(elapsed, Duration::ZERO);
        let request = Request::new("run", b"").cancel(CancelHandle::new());
        Failure::CANCELLED_BEFORE.check(&stopped.call_with(request).unwrap_err());
        thread::sleep(50 * MS);
        let cancelled = Instant::now();
        ends.cancel();
        let (error, ended) = beside.join().unwrap();
        Failure::CANCELLED.check(&error);
        assert!(ended >= cancelled, "the call of another host was ended as well");
    });
}

fn a_host_that_is_stopped_ends_what_waits_for_it(subject: &Subject) {
    let stop = CancelHandle::new();
    let is_sync = subject.mode() == Mode::Sync;
    let late = move |_: antiphon::HostCall<'_>| {
        if is_sync { Answer::After(400 * MS, Ok(Bytes::from_static(b"too late"))) } else { Answer::Never }
    };
    let host = subject.host(Guest::new(RELAY).patient().stop(&stop).handler(late));
    thread::scope(|scope| {
        let pending = scope.spawn(|| host.call("run", b"").unwrap_err());
        thread::sleep(50 * MS);
        let queued = scope.spawn(|| host.call("run", b"").unwrap_err());
        thread::sleep(50 * MS);
        let since = Instant::now();
        stop.cancel();
        Failure::CANCELLED_BEFORE.check(&queued.join().unwrap());
        soon(since.elapsed(), Duration::ZERO);
        // A handler that blocks its thread is not interrupted.
        Failure::CANCELLED.check(&pending.join().unwrap());
        soon(since.elapsed(), if is_sync { 400 * MS } else { Duration::ZERO });
    });
}

fn a_host_that_is_stopped_starts_no_guest(subject: &Subject) {
    let stop = CancelHandle::new();
    let canceller = stop.clone();
    let thread = thread::spawn(move || {
        thread::sleep(100 * MS);
        canceller.cancel();
    });
    let body = format!("{ECHO} (func (export \"wapc_init\") (call $spin))");
    let limits = Limits::new().init_deadline(Duration::from_secs(60));
    let (refused, elapsed) = timed(|| subject.start(Guest::new(&body).limits(limits).stop(&stop)).map(drop));
    thread.join().unwrap();
    let error = refused.unwrap_err();
    Failure::INIT_FAILED.check(&error);
    soon(elapsed, 100 * MS);
}

fn an_inner_call_is_cancelled_with_the_outer_one(subject: &Subject) {
    let spinning = subject.host(Guest::new(SPIN).limits(Limits::new().deadline(Duration::from_secs(60))));
    let inner = spinning.clone();
    let outer = subject.host(Guest::new(RELAY).handler(move |call| {
        let (host, caller) = (inner.clone(), call.caller());
        Answer::Later(Box::pin(async move {
            let result = host.call_later(Request::new("run", b"").caller(caller)).await;
            Err(result.unwrap_err().to_string().into())
        }))
    }));
    cancelled_soon(&outer, 100 * MS, Failure::CANCELLED);
    // Both hosts are free again, with fresh instances.
    outer.counted(1);
    spinning.counted(1);
}

/// Counts the futures of handlers that are alive.
struct Alive(Arc<AtomicI64>);

impl Alive {
    fn new(count: &Arc<AtomicI64>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `spin` never ends, `wait` waits for the host forever, any other operation is answered.
const DROPPABLE: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (call $guest_request (i32.const 256) (i32.const 1024))
    (if (i32.eq (i32.load (i32.const 256)) (i32.const 0x6e697073)) (then (call $spin)))
    (if (i32.eq (i32.load (i32.const 256)) (i32.const 0x74696177))
      (then (drop (call $ask (i32.const 0) (i32.const 0)))))
    (call $answer (i32.const 1024) (local.get $msg)))
"#;

fn droppable(alive: &Arc<AtomicI64>) -> Guest {
    let alive = Arc::clone(alive);
    Guest::new(DROPPABLE).patient().handler(move |_| {
        let alive = Alive::new(&alive);
        Answer::Later(Box::pin(async move {
            std::future::pending::<()>().await;
            drop(alive);
            Ok(Bytes::new())
        }))
    })
}

/// Polls a call `polls` times, then drops it.
async fn poll_and_drop(host: &WapcHostAsync, op: &str, polls: usize) {
    let mut call = Box::pin(host.call(op, b"dropped"));
    for _ in 0..polls {
        std::future::poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending(), "{op} is not pending");
            std::task::Poll::Ready(())
        })
        .await;
    }
}

async fn count_of(host: &WapcHostAsync) -> i32 {
    i32::from_le_bytes(host.call("#", b"").await.unwrap().try_into().unwrap())
}

fn a_dropped_call_costs_the_instance_only_if_it_had_begun(subject: &Subject) {
    let alive = Arc::new(AtomicI64::new(0));
    runtime().block_on(async {
        let host = Arc::new(subject.start_async(droppable(&alive)).await.unwrap());
        assert_eq!(count_of(&host).await, 1);
        // Never polled, so nothing happened.
        poll_and_drop(&host, "spin", 0).await;
        assert_eq!(count_of(&host).await, subject.count_after(2));
        // In guest code.
        poll_and_drop(&host, "spin", 1).await;
        assert_eq!(count_of(&host).await, 1);
        poll_and_drop(&host, "spin", 100).await;
        assert_eq!(count_of(&host).await, 1);
        // In a host call.
        poll_and_drop(&host, "wait", 3).await;
        assert_eq!(alive.load(Ordering::SeqCst), 0, "the handler's future is dropped with the call's");
        assert_eq!(count_of(&host).await, 1);
        // In the queue, behind a call that is dropped as well.
        let mut first = Box::pin(host.call("wait", b""));
        std::future::poll_fn(|cx| {
            assert!(first.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        poll_and_drop(&host, "queued", 2).await;
        drop(first);
        assert_eq!(count_of(&host).await, 1);
        assert_eq!(host.call("answer", b"still right").await.unwrap(), b"still right");
        assert_eq!(count_of(&host).await, subject.count_after(3));
    });
}

fn a_dropped_start_leaves_nothing(subject: &Subject) {
    let alive = Arc::new(AtomicI64::new(0));
    let counter = Arc::clone(&alive);
    let waiting = Guest::new(
        r#"(func (export "wapc_init") (drop (call $ask (i32.const 0) (i32.const 0))))
           (func $run (param i32 i32) (result i32) (i32.const 1))"#,
    )
    .host_calls_in_init()
    .handler(move |_| {
        let alive = Alive::new(&counter);
        Answer::Later(Box::pin(async move {
            std::future::pending::<()>().await;
            drop(alive);
            Ok(Bytes::new())
        }))
    });
    runtime().block_on(async {
        for _ in 0..20 {
            let mut start = Box::pin(subject.start_async(waiting.clone()));
            // A tick may pass on the way; then the guest is pending before it has called its host.
            std::future::poll_fn(|cx| {
                assert!(start.as_mut().poll(cx).is_pending());
                let waits = alive.load(Ordering::SeqCst) == 1;
                if waits { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            drop(start);
            assert_eq!(alive.load(Ordering::SeqCst), 0);
        }
    });
}

fn ten_thousand_dropped_calls_leak_nothing(subject: &Subject) {
    // A drop in guest code takes up to a tick, so those are the fewest.
    const IN_GUEST: usize = 200;
    const IN_HOST_CALL: usize = 4_900;
    const QUEUED: usize = 4_900;

    let alive = Arc::new(AtomicI64::new(0));
    runtime().block_on(async {
        let host = Arc::new(subject.start_async(droppable(&alive)).await.unwrap());
        let round = async |guest: usize, host_call: usize, queued: usize| {
            for _ in 0..guest {
                poll_and_drop(&host, "spin", 1).await;
            }
            for _ in 0..host_call {
                poll_and_drop(&host, "wait", 1).await;
            }
            let mut holder = Box::pin(host.call("wait", b""));
            std::future::poll_fn(|cx| {
                assert!(holder.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            for _ in 0..queued {
                poll_and_drop(&host, "queued", 1).await;
            }
            drop(holder);
            assert_eq!(alive.load(Ordering::SeqCst), 0, "futures of handlers are still alive");
            assert_eq!(host.call("answer", b"still right").await.unwrap(), b"still right");
        };
        round(20, 500, 500).await;
        let before = Process::now();
        round(IN_GUEST - 20, IN_HOST_CALL - 500, QUEUED - 500).await;
        let after = Process::now();
        assert_eq!(count_of(&host).await, subject.count_after(2));
        if let (Some(before), Some(after)) = (before, after) {
            assert!(after.files <= before.files, "file descriptors: {before:?}, then {after:?}");
            assert!(after.threads <= before.threads, "threads: {before:?}, then {after:?}");
            let grown = after.resident.saturating_sub(before.resident);
            assert!(grown < 32 << 20, "memory: {before:?}, then {after:?}");
        }
    });
}
