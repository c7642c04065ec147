//! Many callers of one pool at once: threads in synchronous mode, tasks in asynchronous mode.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::Error;
use antiphon_pool::HostPool;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Mode;
use crate::failure::Failure;

/// What every call asks for.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) operation: String,
    pub(crate) payload: Vec<u8>,
}

/// Decides how long callers call, and records how each call ended. All callers share one.
pub(crate) trait Book: Send + Sync + 'static {
    /// Returns the number of the next call, from 1, or `None` if callers should stop.
    fn next(&self) -> Option<u64>;
    fn ended(&self, call: Call, ended: Result<Vec<u8>, Error>);
    /// Makes every later `next` return `None`.
    fn stop(&self);
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    /// The number of the caller that made it, from 0.
    pub(crate) caller: usize,
    pub(crate) time: Duration,
}

/// A number of callers, all of them tasks or all of them threads.
#[derive(Debug)]
pub(crate) struct Callers {
    mode: Mode,
    number: usize,
    /// Present in synchronous mode too, because guests with real directories need a runtime.
    runtime: Runtime,
}

impl Callers {
    pub(crate) fn new(mode: Mode, number: usize) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(number.clamp(1, processors()))
            .enable_all()
            .build()
            .map_err(|error| Failure::System("cannot start the asynchronous runtime", error))?;
        Ok(Self { mode, number, runtime })
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Starts every caller and returns how long they took. Each caller makes one call after the
    /// other until the book wants no more.
    ///
    /// Meanwhile this thread calls `look` again and again: `Continue` says after what time to ask
    /// it again, `Break` stops waiting, and leaves the calls under way running without anyone
    /// waiting for them.
    pub(crate) fn call<B: Book>(
        &self,
        pool: &HostPool,
        (work, book): (&Arc<Work>, &Arc<B>),
        mut look: impl FnMut() -> ControlFlow<(), Duration>,
    ) -> Result<Duration, Failure> {
        let (done, all_done) = mpsc::channel::<()>();
        let begun = Instant::now();
        let started = (0..self.number).try_for_each(|number| {
            let caller = Caller {
                pool: pool.clone(),
                work: Arc::clone(work),
                book: Arc::clone(book),
                number,
                _done: done.clone(),
            };
            self.start(caller)
        });
        drop(done);
        if started.is_err() {
            book.stop();
        }
        while let ControlFlow::Continue(time) = look() {
            if all_done.recv_timeout(time) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        started.map(|()| begun.elapsed())
    }

    fn start<B: Book>(&self, caller: Caller<B>) -> Result<(), Failure> {
        match self.mode {
            Mode::Async => {
                // With more tasks than workers, each task yields after every call. Calls that never
                // wait would otherwise keep a worker for one caller and starve the others.
                let crowded = self.number > self.runtime.metrics().num_workers();
                drop(self.runtime.spawn(caller.call(crowded)));
                Ok(())
            }
            Mode::Sync => {
                let runtime = self.runtime.handle().clone();
                let run = move || {
                    let _inside = runtime.enter();
                    caller.call_blocking();
                };
                let spawned = thread::Builder::new().name("caller".into()).spawn(run);
                spawned.map(drop).map_err(|error| Failure::System("cannot start so many threads", error))
            }
        }
    }

    /// Shuts the runtime down without waiting. A thread may be stuck in a file of a granted
    /// directory, such as a pipe, and must not delay the end.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// One caller.
struct Caller<B> {
    pool: HostPool,
    work: Arc<Work>,
    book: Arc<B>,
    number: usize,
    /// Dropped when the caller ends, even by a panic. The last drop ends the wait in
    /// `Callers::call`.
    _done: Sender<()>,
}

impl<B: Book> Caller<B> {
    async fn call(self, crowded: bool) {
        while let Some(number) = self.book.next() {
            let begun = Instant::now();
            let ended = self.pool.call(&self.work.operation, &self.work.payload).await;
            self.ended(number, begun, ended);
            if crowded {
                tokio::task::yield_now().await;
            }
        }
    }

    fn call_blocking(self) {
        while let Some(number) = self.book.next() {
            let begun = Instant::now();
            let ended = self.pool.call_blocking(&self.work.operation, &self.work.payload);
            self.ended(number, begun, ended);
        }
    }

    fn ended(&self, number: u64, begun: Instant, ended: Result<Vec<u8>, Error>) {
        self.book.ended(Call { number, caller: self.number, time: begun.elapsed() }, ended);
    }
}

/// How many threads the machine can run at once.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use antiphon::testing::{TestEngine, TestFactory};

    #[derive(Default)]
    struct Hundred {
        next: AtomicU64,
        stopped: AtomicBool,
        seen: Mutex<(BTreeSet<u64>, BTreeSet<usize>)>,
    }

    impl Book for Hundred {
        fn next(&self) -> Option<u64> {
            let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
            (number <= 100 && !self.stopped.load(Ordering::Relaxed)).then_some(number)
        }

        fn ended(&self, call: Call, ended: Result<Vec<u8>, Error>) {
            assert_eq!(ended.unwrap(), b"hi");
            let mut seen = self.seen.lock().unwrap();
            assert!(seen.0.insert(call.number), "{call:?} twice");
            seen.1.insert(call.caller);
        }

        fn stop(&self) {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn all_callers_together_make_the_calls_that_the_book_wants() {
        for mode in [Mode::Async, Mode::Sync] {
            let guest = TestEngine::new().operation("echo", |payload| {
                // Long enough that every caller gets a turn.
                thread::sleep(Duration::from_millis(1));
                Ok(payload.to_vec())
            });
            let callers = Callers::new(mode, 4).unwrap();
            let pool = HostPool::builder(Arc::new(TestFactory::new(guest))).max(4).build_blocking().unwrap();
            let work = Arc::new(Work { operation: "echo".into(), payload: b"hi".to_vec() });
            let (book, mut looks) = (Arc::new(Hundred::default()), 0);
            callers
                .call(&pool, (&work, &book), || {
                    looks += 1;
                    ControlFlow::Continue(Duration::from_millis(1))
                })
                .unwrap();
            let seen = book.seen.lock().unwrap();
            assert_eq!((seen.0.len(), seen.1.len()), (100, 4), "{mode:?}");
            assert!(looks > 1);
        }
    }
}
