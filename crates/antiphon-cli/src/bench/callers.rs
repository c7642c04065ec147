//! Many callers of one pool at once: threads in synchronous mode, tasks in asynchronous mode.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::Error;
use antiphon_pool::HostPool;
use tokio::runtime::{Builder, Runtime};

use crate::args::cli::Mode;
use crate::failure::Failure;

/// What is called, and with what.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) operation: String,
    pub(crate) payload: Vec<u8>,
}

/// Says how long calls are made, and takes down how each ended. All callers share it.
pub(crate) trait Book: Send + Sync + 'static {
    /// The number of the next call, from 1; `None` where no more are wanted.
    fn next(&self) -> Option<u64>;
    fn ended(&self, call: Call, ended: Result<Vec<u8>, Error>);
    /// No more calls are wanted.
    fn stop(&self);
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    /// Who made it, from 0.
    pub(crate) caller: usize,
    pub(crate) time: Duration,
}

/// So many callers of one kind.
#[derive(Debug)]
pub(crate) struct Callers {
    mode: Mode,
    number: usize,
    /// Also in synchronous mode: guests with real directories need one.
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

    /// Has every caller call, one call after the other, until the book wants no more; returns how long that took. `look`
    /// is asked meanwhile, on this thread, and says after what time to ask it again; or that nobody waits for the calls
    /// that are under way, which then go on unseen.
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
                // Calls that never wait would keep a worker for one caller, and the others from theirs.
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

    /// Lets go of the runtime: a thread that is stuck in a file of a granted directory (a pipe, say) must not hold up
    /// the end.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// One of them.
struct Caller<B> {
    pool: HostPool,
    work: Arc<Work>,
    book: Arc<B>,
    number: usize,
    /// Dropped when the caller is done, also by a panic.
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
                // Long enough for every caller to get its turn.
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
