//! Calls of a pool's handlers to the pool itself. A call that would make all of them wait forever
//! is refused at once, and no other call is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{
    Bytes, Caller, HostCall, HostCallError, HostHandlerAsync, Isolation, Request, Response, handler_fn,
};
use antiphon_host::EngineKind;
use antiphon_pool::{HostPool, HostPoolBuilder};
use tokio::sync::Notify;

use crate::support::{self, ASK, ECHO, TRAP, at_rest, engines, factory, patient, run};

/// Long before the deadline of any call in this file.
const SOON: Duration = Duration::from_secs(30);

type Known = Arc<OnceLock<HostPool>>;
type Ended = Arc<Mutex<Vec<Result<Vec<u8>, Error>>>>;

fn builder(engine: EngineKind, max: usize) -> HostPoolBuilder {
    HostPool::builder(factory(engine, Isolation::Reuse)).min(max).max(max).queue(100).limits(patient())
}

fn known(known: &Known) -> HostPool {
    known.get().expect("the pool is there").clone()
}

/// Checks that one call was refused because it would have closed the circle, with an error that
/// says what to do, and that the others were served.
#[track_caller]
fn one_was_refused(ended: &Ended, calls: usize, what: &str) {
    let ended = std::mem::take(&mut *ended.lock().unwrap());
    assert_eq!(ended.len(), calls, "{what}");
    let (served, refused): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert!(served.iter().all(|answer| answer.as_ref().unwrap() == &[1, b'i']), "{what}");
    assert_eq!(refused.len(), 1, "{what}: {refused:?}");
    let error = refused.first().unwrap().as_ref().unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::Reentrancy, Fate::Kept), "{what}");
    assert!(error.to_string().contains("larger `max`"), "{what}: {error}");
}

/// Waits until as many calls have come as there are places; then each call calls the pool.
struct Meet {
    pool: Known,
    all: tokio::sync::Barrier,
    /// Whether the inner call names the handler's caller.
    around: bool,
    ended: Ended,
}

#[antiphon::async_trait]
impl HostHandlerAsync for Meet {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let (pool, caller) = (known(&self.pool), call.caller());
        self.all.wait().await;
        let mut inner = Request::new(ECHO, b"i");
        if self.around {
            inner = inner.caller(caller);
        }
        let ended = pool.call_with(inner).await.map(|response| response.payload);
        self.ended.lock().unwrap().push(ended);
        Ok(Bytes::new())
    }
}

#[test]
fn the_call_that_would_close_a_circle_is_refused_at_once_and_the_others_are_served() {
    for engine in engines() {
        for (max, around) in [(1, true), (2, true), (2, false), (4, true)] {
            let what = format!("{max} on {engine}, around callers: {around}");
            let (pool, ended) = (Known::default(), Ended::default());
            let all = tokio::sync::Barrier::new(max);
            let meet = Meet { pool: Arc::clone(&pool), all, around, ended: Arc::clone(&ended) };
            run(2, async {
                let built = builder(engine, max).handler(meet).build().await.unwrap();
                assert!(pool.set(built.clone()).is_ok());
                let since = Instant::now();
                let calls: Vec<_> = (0..max)
                    .map(|_| {
                        let pool = built.clone();
                        tokio::spawn(async move { pool.call(ASK, b"").await })
                    })
                    .collect();
                for call in calls {
                    assert_eq!(call.await.unwrap().unwrap(), [1], "{what}");
                }
                assert!(since.elapsed() < SOON, "{what}");
                one_was_refused(&ended, max, &what);
                at_rest(&built, max);
                assert_eq!(built.stats().errors_of(ErrorKind::Reentrancy), 1, "{what}");
            });
        }
    }
}

#[test]
fn threads_that_block_in_their_handlers_do_not_wait_for_each_other_either() {
    for engine in engines() {
        for max in [1, 3] {
            let what = format!("{max} on {engine}");
            let (pool, ended, all) = (Known::default(), Ended::default(), Barrier::new(max));
            let (theirs, seen) = (Arc::clone(&pool), Arc::clone(&ended));
            let meet = handler_fn(move |_| {
                all.wait();
                let inner = known(&theirs).call_blocking(ECHO, b"i");
                seen.lock().unwrap().push(inner);
                Ok(Bytes::new())
            });
            let built = builder(engine, max).handler_sync(meet).build_blocking().unwrap();
            assert!(pool.set(built.clone()).is_ok());
            let since = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..max {
                    scope.spawn(|| assert_eq!(built.call_blocking(ASK, b"").unwrap(), [1]));
                }
            });
            assert!(since.elapsed() < SOON, "{what}");
            one_was_refused(&ended, max, &what);
            at_rest(&built, max);
        }
    }
}

/// Calls the pool inside itself as often as the payload says, and makes some more calls beside
/// that.
struct Nest {
    pool: Known,
    /// Waits for all calls on the innermost level.
    innermost: tokio::sync::Barrier,
    ended: Ended,
}

#[antiphon::async_trait]
impl HostHandlerAsync for Nest {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let (pool, caller, left) = (known(&self.pool), call.caller(), call.payload.first().copied());
        match left.unwrap_or(0).checked_sub(1) {
            Some(left) => {
                let inner = pool.call_with(Request::new(ASK, vec![left]).caller(caller)).await;
                assert_eq!(inner.unwrap().payload, [1]);
            }
            None => {
                self.innermost.wait().await;
                let inner = pool.call_with(Request::new(ECHO, b"i").caller(caller)).await;
                self.ended.lock().unwrap().push(inner.map(|response| response.payload));
            }
        }
        Ok(Bytes::new())
    }
}

#[test]
fn a_call_that_waits_holds_all_the_places_of_those_around_it() {
    let engine = engines()[0];
    // Two calls with one call inside each, and three calls with none. The last of the innermost
    // calls has no other call left to wait for.
    for (max, left, outer) in [(4, 1, 2), (9, 2, 3)] {
        let (pool, ended) = (Known::default(), Ended::default());
        let innermost = tokio::sync::Barrier::new(outer);
        let nest = Nest { pool: Arc::clone(&pool), innermost, ended: Arc::clone(&ended) };
        run(2, async {
            let built = builder(engine, max).handler(nest).build().await.unwrap();
            assert!(pool.set(built.clone()).is_ok());
            let since = Instant::now();
            let calls: Vec<_> = (0..outer)
                .map(|_| {
                    let pool = built.clone();
                    tokio::spawn(async move { pool.call(ASK, &[left]).await })
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap().unwrap(), [1]);
            }
            assert!(since.elapsed() < SOON);
            one_was_refused(&ended, outer, "nested");
            at_rest(&built, max);
        });
    }
}

/// `A` waits for an inner call in vain and goes on; `B` then makes an inner call of its own.
struct GoesOn {
    pool: Known,
    both: tokio::sync::Barrier,
    gave_up: Notify,
    b_waits: Notify,
    ended: Ended,
}

#[antiphon::async_trait]
impl HostHandlerAsync for GoesOn {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let (pool, caller) = (known(&self.pool), call.caller());
        let inner = pool.call_with(Request::new(ECHO, b"i").caller(caller));
        self.both.wait().await;
        if call.payload == b"A" {
            let waited = tokio::time::timeout(Duration::from_millis(30), inner).await;
            assert!(waited.is_err(), "no instance is free");
            self.gave_up.notify_one();
            self.b_waits.notified().await;
        } else {
            self.gave_up.notified().await;
            let mut inner = Box::pin(inner);
            let first = tokio::time::timeout(Duration::from_millis(30), &mut inner).await;
            self.b_waits.notify_one();
            let ended = match first {
                Ok(ended) => ended,
                Err(_) => inner.await,
            };
            self.ended.lock().unwrap().push(ended.map(|response: Response| response.payload));
        }
        Ok(Bytes::new())
    }
}

#[test]
fn who_has_given_up_waiting_is_not_counted_any_more() {
    for engine in engines() {
        let (pool, ended) = (Known::default(), Ended::default());
        let handler = GoesOn {
            pool: Arc::clone(&pool),
            both: tokio::sync::Barrier::new(2),
            gave_up: Notify::new(),
            b_waits: Notify::new(),
            ended: Arc::clone(&ended),
        };
        run(2, async {
            let built = builder(engine, 2).handler(handler).build().await.unwrap();
            assert!(pool.set(built.clone()).is_ok());
            let calls = [b"A", b"B"].map(|payload| {
                let pool = built.clone();
                tokio::spawn(async move { pool.call(ASK, payload).await })
            });
            for call in calls {
                assert_eq!(call.await.unwrap().unwrap(), [1]);
            }
            let ended = ended.lock().unwrap().pop().unwrap();
            assert_eq!(ended.unwrap(), [1, b'i'], "on {engine}");
            at_rest(&built, 2);
        });
    }
}

/// Waits for several inner calls, some of which are given up; the payload gives the numbers.
struct Joins {
    pool: Known,
    served: AtomicUsize,
    given_up: AtomicUsize,
    refused: Mutex<Vec<Error>>,
}

impl Joins {
    async fn inner(&self, caller: Caller, patience: Duration) {
        let pool = known(&self.pool);
        let inner = pool.call_with(Request::new(ECHO, b"i").caller(caller));
        match tokio::time::timeout(patience, inner).await {
            Err(_) => self.given_up.fetch_add(1, Ordering::Relaxed),
            Ok(Ok(response)) => {
                assert_eq!(response.payload.get(1..), Some(&b"i"[..]));
                self.served.fetch_add(1, Ordering::Relaxed)
            }
            Ok(Err(error)) => {
                self.refused.lock().unwrap().push(error);
                0
            }
        };
    }
}

#[antiphon::async_trait]
impl HostHandlerAsync for Joins {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let caller = || call.caller();
        let impatient = Duration::from_micros(call.payload.first().copied().unwrap_or(0).into());
        support::together([SOON, impatient, SOON].map(|patience| self.inner(caller(), patience))).await;
        Ok(Bytes::new())
    }
}

#[test]
fn calls_that_can_go_on_are_never_refused_however_many_there_are() {
    // At most three calls wait for other calls, in a pool of four, so one place always becomes
    // free. Calls from outside, guests that trap, and replacements run at the same time.
    let rounds = support::full_or(3000, 150);
    for engine in engines() {
        let pool = Known::default();
        let joins = Arc::new(Joins {
            pool: Arc::clone(&pool),
            served: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
            refused: Mutex::default(),
        });
        run(2, async {
            let built = builder(engine, 4).handler(Arc::clone(&joins)).build().await.unwrap();
            assert!(pool.set(built.clone()).is_ok());
            let mut tasks = tokio::task::JoinSet::new();
            for task in 0..3_u8 {
                let pool = built.clone();
                tasks.spawn(async move {
                    for round in 0..rounds {
                        let impatient = u8::try_from(round % 200).unwrap() ^ task;
                        assert_eq!(pool.call(ASK, &[impatient]).await.unwrap()[1..], []);
                    }
                });
                let pool = built.clone();
                tasks.spawn(async move {
                    for round in 0..rounds {
                        assert_eq!(pool.call(ECHO, b"o").await.unwrap()[1..], *b"o");
                        if round % 8 == u64::from(task) {
                            assert_eq!(pool.call(TRAP, b"").await.unwrap_err().kind(), ErrorKind::Trapped);
                        }
                    }
                });
            }
            let replacing = built.clone();
            tasks.spawn(async move {
                for version in 2..10 {
                    replacing.replace(&support::guest(version, "")).await.unwrap();
                }
            });
            while let Some(task) = tasks.join_next().await {
                task.unwrap();
            }
            assert_eq!(joins.refused.lock().unwrap().iter().map(Error::kind).collect::<Vec<_>>(), []);
            let (served, given_up) =
                (joins.served.load(Ordering::Relaxed), joins.given_up.load(Ordering::Relaxed));
            println!("{engine}: {served} inner calls served, {given_up} given up");
            assert!(served as u64 >= 6 * rounds, "{served} served, {given_up} given up");
            at_rest(&built, 4);
        });
    }
}

/// Guests that wait for each other in a chain, as long as it may be.
#[test]
fn a_chain_as_deep_as_may_be_goes_through_a_pool_with_one_place_more() {
    let engine = engines()[0];
    let depth = u8::try_from(Caller::MAX_DEPTH).unwrap();
    let (pool, ended) = (Known::default(), Ended::default());
    let innermost = tokio::sync::Barrier::new(1);
    let nest = Nest { pool: Arc::clone(&pool), innermost, ended: Arc::clone(&ended) };
    run(2, async {
        let built = builder(engine, usize::from(depth) + 1).handler(nest).build().await.unwrap();
        assert!(pool.set(built.clone()).is_ok());
        let outside = tokio::spawn({
            let pool = built.clone();
            async move {
                for _ in 0..2000 {
                    assert_eq!(pool.call(ECHO, b"o").await.unwrap(), [1, b'o']);
                }
            }
        });
        for _ in 0..100 {
            assert_eq!(built.call(ASK, &[depth - 1]).await.unwrap(), [1]);
        }
        outside.await.unwrap();
        let ended = std::mem::take(&mut *ended.lock().unwrap());
        assert!(ended.len() == 100 && ended.iter().all(Result::is_ok), "{ended:?}");
    });
}
