//! The pool as a service, behind the layers that users know.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind};
use antiphon::testing::TestEngine;
use antiphon::{Bytes, CancelHandle, HostCall, HostCallError, HostHandlerAsync, Isolation, Request};
use antiphon_pool::HostPool;
use support::{TRAP, engines, guest, options, patient, run, test_factory};
use tokio::sync::Semaphore;
use tower::{Service, ServiceBuilder, ServiceExt};

fn waits(release: &Arc<Semaphore>) -> TestEngine {
    let release = Arc::clone(release);
    TestEngine::new().operation("echo", |payload| Ok(payload.to_vec())).operation_with_host(
        "wait",
        move |_| {
            let release = Arc::clone(&release);
            async move {
                release.acquire().await.unwrap().forget();
                Ok(b"waited".to_vec())
            }
        },
    )
}

fn ready(pool: &mut HostPool) -> Poll<Result<(), Error>> {
    pool.poll_ready(&mut Context::from_waker(Waker::noop()))
}

/// Lets a guest start once; each later start waits forever.
struct Once {
    begun: AtomicUsize,
    token: Arc<()>,
}

#[antiphon::async_trait]
impl HostHandlerAsync for Once {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let _token = Arc::clone(&self.token);
        if self.begun.fetch_add(1, Ordering::SeqCst) > 0 {
            std::future::pending::<()>().await;
        }
        Ok(Bytes::new())
    }
}

#[test]
fn a_service_that_is_ready_gives_up_what_is_being_started_for_it_when_it_is_dropped() {
    let call = "(drop (call $host_call (i32.const 8) (i32.const 3) (i32.const 8) (i32.const 3) (i32.const 8) (i32.const 3)
        (i32.const 0) (i32.const 0)))";
    for engine in engines() {
        let factory = engine.factory(&guest(1, call), &options(Isolation::Reuse)).unwrap();
        let token = Arc::new(());
        let handler = Arc::new(Once { begun: AtomicUsize::new(0), token: Arc::clone(&token) });
        let builder = HostPool::builder(factory).min(1).max(1).limits(patient()).host_calls_in_init(true);
        let mut pool = builder.handler(Arc::clone(&handler)).build_blocking().unwrap();
        assert!(ready(&mut pool).is_ready());
        assert_eq!(pool.call_blocking(TRAP, b"").unwrap_err().kind(), ErrorKind::Trapped, "on {engine}");
        let patience = Instant::now() + Duration::from_secs(20);
        while handler.begun.load(Ordering::SeqCst) < 2 {
            assert!(Instant::now() < patience, "on {engine}: nothing is started");
            thread::sleep(Duration::from_millis(1));
        }
        drop((pool, handler));
        while Arc::strong_count(&token) > 1 {
            assert!(Instant::now() < patience, "on {engine}: the start goes on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn ready_means_that_the_call_is_not_refused() {
    run(1, async {
        let release = Arc::new(Semaphore::new(0));
        let builder = HostPool::builder(test_factory(waits(&release))).max(1).queue(2);
        let mut pool = builder.limits(patient()).build().await.unwrap();
        assert!(ready(&mut pool).is_ready());
        let busy = tokio::spawn(Service::call(&mut pool, Request::new("wait", b"")));
        while pool.stats().busy == 0 {
            tokio::task::yield_now().await;
        }
        // The queue has two places. Each is set aside for one service.
        let (mut first, mut second, mut third) = (pool.clone(), pool.clone(), pool.clone());
        assert!(
            ready(&mut first).is_ready() && ready(&mut first).is_ready() && ready(&mut second).is_ready()
        );
        assert!(ready(&mut third).is_pending());
        // Other callers cannot take these places.
        let error = HostPool::call(&third, "echo", b"").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        let calls =
            [&mut first, &mut second].map(|pool| tokio::spawn(pool.call(Request::new("echo", b"in"))));
        while pool.stats().queued < 2 {
            tokio::task::yield_now().await;
        }
        assert!(ready(&mut third).is_pending());
        release.add_permits(1);
        assert_eq!(busy.await.unwrap().unwrap().payload, b"waited");
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().payload, b"in");
        }
        third.ready().await.unwrap();
        assert_eq!(pool.stats().errors, [(ErrorKind::Overloaded, 1)]);
    });
}

#[test]
fn a_service_that_becomes_ready_is_woken_and_one_that_is_dropped_gives_its_place_back() {
    run(1, async {
        let release = Arc::new(Semaphore::new(0));
        let builder = HostPool::builder(test_factory(waits(&release))).max(1).queue(1);
        let pool = builder.limits(patient()).build().await.unwrap();
        let mut holds = pool.clone();
        assert!(ready(&mut holds).is_ready());
        let mut waits = pool.clone();
        let waiting = tokio::spawn(async move { waits.ready().await.map(|_| ()) });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(holds);
        waiting.await.unwrap().unwrap();
        // A call that is made and never polled also returns its place.
        let mut holds = pool.clone();
        assert!(ready(&mut holds).is_ready());
        drop(Service::call(&mut holds, Request::new("echo", b"")));
        assert!(ready(&mut pool.clone()).is_ready());
    });
}

#[test]
fn a_pool_without_a_queue_and_one_that_is_drained_say_so() {
    run(1, async {
        let release = Arc::new(Semaphore::new(0));
        let builder = HostPool::builder(test_factory(waits(&release))).max(1).queue(0);
        let mut pool = builder.limits(patient()).build().await.unwrap();
        for _ in 0..3 {
            let response = pool.ready().await.unwrap().call(Request::new("echo", b"x")).await.unwrap();
            assert_eq!(response.payload, b"x");
        }
        pool.drain(Duration::from_secs(1)).await;
        let Poll::Ready(Err(error)) = ready(&mut pool) else { panic!("a drained pool is never ready") };
        assert_eq!(error.kind(), ErrorKind::Overloaded);
    });
}

#[test]
fn layers_go_in_front_of_it() {
    run(1, async {
        let release = Arc::new(Semaphore::new(0));
        let builder = HostPool::builder(test_factory(waits(&release))).max(1).queue(1);
        let pool = builder.limits(patient()).build().await.unwrap();
        let mut service = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(8)
            .timeout(Duration::from_millis(100))
            .service(pool.clone());
        let answer = service.ready().await.unwrap().call(Request::new("echo", b"hi")).await.unwrap();
        assert_eq!(answer.payload, b"hi");
        // One call runs, one waits, and the third is shed before it reaches the pool.
        let calls = [(); 3].map(|()| {
            let mut service = service.clone();
            tokio::spawn(async move { service.ready().await.unwrap().call(Request::new("wait", b"")).await })
        });
        let mut outcomes = Vec::new();
        for call in calls {
            outcomes.push(call.await.unwrap().unwrap_err().to_string());
        }
        outcomes.sort();
        assert_eq!(outcomes, ["request timed out", "request timed out", "service overloaded"]);
        assert_eq!(pool.stats().errors, []);
        assert_eq!((pool.stats().dropped, pool.stats().queued), (1, 0));
    });
}

#[test]
fn a_promise_is_not_lost_with_a_call_that_is_refused_otherwise() {
    run(1, async {
        let release = Arc::new(Semaphore::new(0));
        let builder = HostPool::builder(test_factory(waits(&release))).max(1).queue(1);
        let pool = builder.limits(patient()).build().await.unwrap();
        let mut busy = Box::pin(HostPool::call(&pool, "wait", b""));
        assert!(busy.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        for _ in 0..5 {
            let cancel = CancelHandle::new();
            cancel.cancel();
            let call = pool.clone().ready().await.unwrap().call(Request::new("echo", b"").cancel(cancel));
            assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Cancelled);
        }
        assert!(ready(&mut pool.clone()).is_ready());
    });
}

#[test]
fn a_place_that_was_set_aside_and_was_not_needed_is_for_the_next_one() {
    run(1, async {
        let release = Arc::new(Semaphore::new(0));
        let builder = HostPool::builder(test_factory(waits(&release))).max(1).queue(1);
        let pool = builder.limits(patient()).build().await.unwrap();
        let (mut first, mut second) = (pool.clone(), pool.clone());
        assert!(ready(&mut first).is_ready());
        // The only place in the queue is taken by a call that finds a free instance when it comes.
        let next = tokio::spawn(async move {
            second.ready().await.unwrap();
            Service::call(&mut second, Request::new("echo", b"second")).await.unwrap().payload
        });
        tokio::task::yield_now().await;
        assert_eq!(
            Service::call(&mut first, Request::new("echo", b"first")).await.unwrap().payload,
            b"first"
        );
        let next = tokio::time::timeout(Duration::from_secs(20), next).await;
        assert_eq!(next.unwrap().unwrap(), b"second");
    });
}
