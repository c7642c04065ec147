//! A router as the handler of a pool. Its routes call the pool again.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Phase};
use antiphon::testing::TestEngine;
use antiphon::{Bytes, Caller, HostRouter, Limits, Request, Route, handler_fn, handler_fn_async};
use antiphon_pool::HostPool;

use crate::support::test_factory;

/// Returns a guest with an operation for each operation of its host, which calls that one twice.
fn guest() -> TestEngine {
    ["again", "rare", "wait"].into_iter().fold(TestEngine::new(), |engine, name| {
        engine.operation_with_host(name, move |guest| async move {
            guest.host_call("pool", "test", name, guest.payload()).await?;
            guest.host_call("pool", "test", name, guest.payload()).await
        })
    })
}

/// The results of the inner calls, each with the depth of its caller.
type Inner = Arc<Mutex<Vec<(usize, Result<Vec<u8>, Error>)>>>;

/// Creates a pool whose route `again` calls the pool on behalf of its caller, until that is
/// refused.
fn pool(max: usize) -> (HostPool, Inner) {
    let (cell, inner) = (Arc::new(OnceLock::<HostPool>::new()), Inner::default());
    let (known, seen) = (Arc::clone(&cell), Arc::clone(&inner));
    let again = handler_fn_async(move |call| {
        let (pool, seen, caller) =
            (known.get().expect("the pool is there").clone(), Arc::clone(&seen), call.caller());
        Box::pin(async move {
            let depth = caller.depth();
            let ended = pool.call_with(Request::new("again", b"").caller(caller)).await;
            seen.lock().unwrap().push((depth, ended.map(|response| response.payload)));
            Ok("back".into())
        })
    });
    let waits = handler_fn_async(|_| Box::pin(std::future::pending()));
    let router = HostRouter::new()
        .route(Route::any().operation("again").max_calls(1).handler_async(again))
        .route(
            Route::any()
                .operation("rare")
                .max_calls(2)
                .handler(handler_fn(|_| Ok(Bytes::from_static(b"once")))),
        )
        .route(Route::any().operation("wait").handler_async(waits));
    let limits = Limits::new().deadline(Duration::from_secs(60));
    let pool = HostPool::builder(test_factory(guest()))
        .max(max)
        .limits(limits)
        .handler(router)
        .build_blocking()
        .unwrap();
    assert!(cell.set(pool.clone()).is_ok());
    (pool, inner)
}

/// Makes a call whose guest calls its host twice, of which the route serves one. The list then
/// holds all calls made in between.
fn calls_again(pool: &HostPool) {
    let error = pool.call_blocking("again", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GuestFailed);
    assert!(error.guest_error().unwrap().contains("the budget of 1 calls"), "{error}");
}

#[test]
fn calls_around_callers_end_at_their_depth() {
    let (pool, inner) = pool(16);
    calls_again(&pool);
    let inner = std::mem::take(&mut *inner.lock().unwrap());
    let depths: Vec<_> = inner.iter().map(|(depth, _)| *depth).collect();
    assert_eq!(depths, (1..=Caller::MAX_DEPTH + 1).rev().collect::<Vec<_>>());
    let (_, deepest) = inner.first().unwrap();
    let error = deepest.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reentrancy);
    assert_eq!(error.exceeded().unwrap().limit, "depth");
}

#[test]
fn a_pool_of_one_is_reentrant_at_once() {
    let (pool, inner) = pool(1);
    let since = Instant::now();
    calls_again(&pool);
    assert!(since.elapsed() < Duration::from_secs(30));
    let (depth, ended) = inner.lock().unwrap().pop().unwrap();
    assert_eq!((depth, ended.unwrap_err().kind()), (1, ErrorKind::Reentrancy));
    assert_eq!(pool.stats().errors_of(ErrorKind::Reentrancy), 1);
}

#[test]
fn too_deep_is_refused_before_it_waits_for_an_instance() {
    // One instance for each level of calls, and one for the call whose handler makes the call that
    // is too deep.
    let (pool, inner) = pool(Caller::MAX_DEPTH + 1);
    let since = Instant::now();
    calls_again(&pool);
    assert!(since.elapsed() < Duration::from_secs(30));
    let inner = inner.lock().unwrap();
    let (depth, ended) = inner.first().unwrap();
    assert_eq!(*depth, Caller::MAX_DEPTH + 1);
    assert_eq!(ended.as_ref().unwrap_err().exceeded().unwrap().limit, "depth");
}

#[test]
fn budgets_are_for_one_call_of_the_pool_whichever_instance_serves_it() {
    let (pool, _) = pool(2);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(pool.call_blocking("rare", b"").unwrap(), b"once");
                }
            });
        }
    });
}

#[test]
fn a_route_that_waits_ends_by_the_deadline_of_the_call() {
    let (pool, _) = pool(1);
    let request = Request::new("wait", b"").deadline(Duration::from_millis(50));
    let error = pool.call_with_blocking(request).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::HostCall)));
}
