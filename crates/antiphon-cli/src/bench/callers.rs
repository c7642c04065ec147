//! Many callers of one pool at once: threads in synchronous mode, tasks in asynchronous mode.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, Resource};
use antiphon_pool::HostPool;
use tokio::runtime::{Builder, Runtime};

use super::tally::Tally;
use crate::args::Mode;
use crate::failure::Failure;

/// What every call asks for.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) operation: String,
    pub(crate) payload: Vec<u8>,
}

/// A number of callers, all of them tasks or all of them threads.
///
/// The tasks are shared out among a thread for each processor, each with a runtime of its own.
/// Tokio's runtime with many threads panics, or waits forever, if the system refuses it a thread.
#[derive(Debug)]
pub(crate) struct Callers {
    mode: Mode,
    number: usize,
    /// Present in synchronous mode too, because pools are built on it.
    runtime: Runtime,
}

impl Callers {
    pub(crate) fn new(mode: Mode, number: usize) -> Result<Self, Failure> {
        Ok(Self { mode, number, runtime: runtime()? })
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Starts every caller and returns how long they took. Each caller makes one call after the
    /// other until the tally is stopped.
    ///
    /// While they call, this thread calls `look` again and again: `Continue` says after what time
    /// to call it again, and `Break` stops the wait. Calls under way then run on, and nothing waits
    /// for them.
    pub(crate) fn call(
        &self,
        pool: &HostPool,
        (work, tally): (&Arc<Work>, &Arc<Tally>),
        mut look: impl FnMut() -> ControlFlow<(), Duration>,
    ) -> Result<Duration, Failure> {
        let (done, all_done) = mpsc::channel::<()>();
        let begun = Instant::now();
        let caller = |number| Caller {
            pool: pool.clone(),
            work: Arc::clone(work),
            tally: Arc::clone(tally),
            number,
            _done: done.clone(),
        };
        let started = match self.mode {
            Mode::Async => {
                let workers = self.number.clamp(1, processors());
                (0..workers).try_for_each(|first| {
                    self.start_tasks((first..self.number).step_by(workers).map(caller).collect())
                })
            }
            Mode::Sync => (0..self.number).map(caller).try_for_each(|caller| self.start_thread(caller)),
        };
        drop(done);
        if started.is_err() {
            tally.stop();
        }
        while let ControlFlow::Continue(time) = look() {
            if all_done.recv_timeout(time) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        started.map(|()| begun.elapsed())
    }

    /// Starts some of the callers as tasks of one thread.
    fn start_tasks(&self, callers: Vec<Caller>) -> Result<(), Failure> {
        // With more tasks than one, each task yields after every call. Calls that never wait would
        // otherwise keep the thread for one caller and starve the others.
        let crowded = callers.len() > 1;
        let runtime = runtime()?;
        let run = move || {
            let tasks: Vec<_> =
                callers.into_iter().map(|caller| runtime.spawn(caller.call(crowded))).collect();
            runtime.block_on(async {
                for task in tasks {
                    // A caller that panicked has dropped its end of the channel, as any other.
                    let _ = task.await;
                }
            });
            runtime.shutdown_background();
        };
        self.start_on_thread(run)
    }

    /// Starts a caller as a thread.
    fn start_thread(&self, caller: Caller) -> Result<(), Failure> {
        self.start_on_thread(move || caller.call_blocking())
    }

    fn start_on_thread(&self, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let spawned = thread::Builder::new().name("caller".into()).spawn(run);
        spawned.map(drop).map_err(|error| {
            let purpose = format_args!("each of {} callers", self.number);
            Error::out_of_resources(Resource::Threads, purpose).with_source(error).never_born().into()
        })
    }

    /// Shuts the runtime down without waiting. A thread may be stuck in a file of a granted
    /// directory, for example of a network, and must not delay the end.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// Builds a runtime that runs on the thread that waits for it.
fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::System("cannot start the asynchronous runtime", error))
}

/// One caller.
struct Caller {
    pool: HostPool,
    work: Arc<Work>,
    tally: Arc<Tally>,
    number: usize,
    /// Dropped when the caller ends, even by a panic. The last drop ends the wait in
    /// `Callers::call`.
    _done: Sender<()>,
}

impl Caller {
    async fn call(self, crowded: bool) {
        while !self.tally.is_stopped() {
            let begun = Instant::now();
            let ended = self.pool.call(&self.work.operation, &self.work.payload).await;
            self.tally.ended(self.number, begun.elapsed(), ended);
            if crowded {
                tokio::task::yield_now().await;
            }
        }
    }

    fn call_blocking(self) {
        while !self.tally.is_stopped() {
            let begun = Instant::now();
            let ended = self.pool.call_blocking(&self.work.operation, &self.work.payload);
            self.tally.ended(self.number, begun.elapsed(), ended);
        }
    }
}

/// Returns how many threads the machine can run at once.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    use antiphon::testing::{TestEngine, TestFactory};

    #[test]
    fn all_callers_together_call_until_the_tally_is_stopped() {
        for mode in [Mode::Async, Mode::Sync] {
            let guest = TestEngine::new().operation("echo", |payload| {
                // Long enough that every caller gets a turn.
                thread::sleep(Duration::from_millis(1));
                Ok(payload.to_vec())
            });
            let callers = Callers::new(mode, 4).unwrap();
            let pool = HostPool::builder(Arc::new(TestFactory::new(guest))).max(4).build_blocking().unwrap();
            let work = Arc::new(Work { operation: "echo".into(), payload: b"hi".to_vec() });
            let tally = Arc::new(Tally::new(4).unwrap());
            let mut looks = 0;
            callers
                .call(&pool, (&work, &tally), || {
                    looks += 1;
                    if tally.glance() >= [100, 0] {
                        tally.stop();
                    }
                    ControlFlow::Continue(Duration::from_millis(1))
                })
                .unwrap();
            let [answered, failed] = tally.glance();
            assert!(answered >= 100 && failed == 0, "{mode:?}: {answered} answered, {failed} failed");
            let mut each = (0..4).map(|caller| tally.answered_by(caller));
            assert!(each.all(|calls| calls > 0), "{mode:?}: some caller never called");
            assert!(looks > 1);
        }
    }
}
