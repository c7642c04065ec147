//! How many modules are compiled at once, and by which threads.
//!
//! Compilations take turns. Cranelift uses all processors and some hundreds of megabytes for one
//! module, so two at once are not ready sooner. A turn has no deadline: asynchronous hosts compile
//! on a thread of their own, and a caller that builds a provider waits for its own compilation
//! anyway.

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{io, panic, process, thread};

use antiphon::errors::{BoxError, Error, Resource};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::lock::{lock, unpoisoned};

/// The turns of this process.
static GATE: Gate = Gate { state: Mutex::new(State { running: 0, limit: 1 }), freed: Condvar::new() };

static POOL: Mutex<Option<Threads>> = Mutex::new(None);

/// Sets how many modules this process compiles at once, on all engines of this crate together. The
/// default is 1.
///
/// Each compilation already uses all processors and up to some hundreds of megabytes, so several at
/// once are hardly ready sooner than one after the other. Other compilations wait, however long it
/// takes. Loading compiled code does not count.
pub fn set_parallel_compilations(limit: NonZeroUsize) {
    GATE.set_limit(limit);
}

/// Waits for a turn to compile. Dropping the value ends the turn. Also returns whether another
/// module was compiled during the wait; it may have been the same one.
pub(super) fn turn() -> (Turn<'static>, bool) {
    GATE.enter()
}

struct Gate {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    running: usize,
    limit: usize,
}

/// The right to compile.
pub(super) struct Turn<'a> {
    gate: &'a Gate,
}

impl Gate {
    fn enter(&self) -> (Turn<'_>, bool) {
        let mut waited = false;
        let state = lock(&self.state);
        let full = |state: &mut State| {
            let full = state.running >= state.limit;
            waited |= full;
            full
        };
        let mut state = unpoisoned(self.freed.wait_while(state, full));
        state.running = state.running.saturating_add(1);
        (Turn { gate: self }, waited)
    }

    fn set_limit(&self, limit: NonZeroUsize) {
        lock(&self.state).limit = limit.get();
        self.freed.notify_all();
    }
}

impl Turn<'_> {
    /// Compiles with all processors, on threads that do nothing but compile.
    ///
    /// Wasmtime shares the functions of a module out among the threads of the rayon pool that it is
    /// called in, or of the global one. The caller's pool would not do. A thread of it that waits
    /// for a part of one module takes up other work of the pool, for example loading another module
    /// (`par_iter`), which waits for this turn to end. Then all of them wait forever.
    ///
    /// # Errors
    /// [`OutOfResources`](antiphon::errors::ErrorKind::OutOfResources) if the system refuses even
    /// one thread.
    pub(super) fn compile<R: Send>(&self, compile: impl FnOnce() -> R + Send) -> Result<R, Error> {
        let pool = pool().map_err(no_thread)?;
        if rayon::current_thread_index().is_none() {
            return Ok(pool.install(compile));
        }
        // For the same reason, a thread of a rayon pool must not wait as rayon does.
        let compiled = thread::scope(|scope| {
            let waits = thread::Builder::new().name("antiphon-compile".into());
            Ok(waits.spawn_scoped(scope, || pool.install(compile))?.join())
        });
        let compiled = compiled.map_err(|error: io::Error| no_thread(error.into()))?;
        Ok(compiled.unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
    }
}

fn no_thread(error: BoxError) -> Error {
    Error::out_of_resources(Resource::Threads, "the compilation of a module").with_source(error).never_born()
}

fn pool() -> Result<Arc<ThreadPool>, BoxError> {
    Ok(Threads::of_this_process(&mut lock(&POOL), Instant::now(), &all_threads)?)
}

/// The threads that compile.
struct Threads {
    /// The process that they belong to: a fork leaves them behind.
    process: u32,
    pool: Arc<ThreadPool>,
    /// When to try for all threads again, if the system refused them.
    retry: Option<Instant>,
}

impl Threads {
    /// How long one thread compiles alone before all are tried for again. Long, since a try starts
    /// threads up to the one that is refused, and ends them.
    const PAUSE: Duration = Duration::from_secs(10);

    /// Returns the pool of this process. `start` starts a thread for each processor.
    fn of_this_process(
        known: &mut Option<Self>,
        now: Instant,
        start: &dyn Fn() -> Result<ThreadPool, ThreadPoolBuildError>,
    ) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
        if let Some(threads) = known.as_mut().filter(|threads| threads.process == process::id()) {
            if threads.retry.is_some_and(|retry| now >= retry) {
                threads.retry = now.checked_add(Self::PAUSE);
                if let Ok(pool) = start() {
                    *threads = Self { pool: Arc::new(pool), retry: None, ..*threads };
                }
            }
            return Ok(Arc::clone(&threads.pool));
        }
        let (pool, retry) = match start() {
            Ok(pool) => (pool, None),
            Err(error) => {
                tracing::warn!(
                    target: "antiphon",
                    %error,
                    "the system refuses the threads that compile: one thread compiles, until more can be had"
                );
                (one_thread()?, now.checked_add(Self::PAUSE))
            }
        };
        let pool = Arc::new(pool);
        // Leaked, not dropped: ending the threads takes their locks, and a thread may have held
        // one of them at the fork.
        std::mem::forget(known.take());
        *known = Some(Self { process: process::id(), pool: Arc::clone(&pool), retry });
        Ok(pool)
    }
}

fn threads() -> ThreadPoolBuilder {
    ThreadPoolBuilder::new().thread_name(|number| format!("antiphon-compile-{number}"))
}

/// Starts a thread for each processor.
fn all_threads() -> Result<ThreadPool, ThreadPoolBuildError> {
    threads().build()
}

/// Starts one thread. The threads of a pool that did not come to be still end, and count until
/// then, so it is tried for more than once.
fn one_thread() -> Result<ThreadPool, ThreadPoolBuildError> {
    const TRIES: u32 = 50;
    const PAUSE: Duration = Duration::from_millis(2);

    let mut started = threads().num_threads(1).build();
    for _ in 0..TRIES {
        if started.is_ok() {
            break;
        }
        thread::sleep(PAUSE);
        started = threads().num_threads(1).build();
    }
    started
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        state.running = state.running.saturating_sub(1);
        drop(state);
        self.gate.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    /// Lets ten threads enter, and returns the most that were inside at once.
    fn at_once(gate: &Gate) -> usize {
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let _turn = gate.enter().0;
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        most.into_inner()
    }

    #[test]
    fn as_many_compile_at_once_as_may_and_the_others_wait() {
        let gate = Gate { state: Mutex::new(State { running: 0, limit: 1 }), freed: Condvar::new() };
        assert_eq!(at_once(&gate), 1);
        gate.set_limit(NonZeroUsize::new(3).unwrap());
        assert!((2..=3).contains(&at_once(&gate)), "of three");
        assert!(!gate.enter().1);
    }

    #[test]
    fn a_turn_ends_by_a_panic_too_and_who_waited_knows() {
        let gate = Gate { state: Mutex::new(State { running: 0, limit: 1 }), freed: Condvar::new() };
        thread::scope(|scope| {
            let (turn, _) = gate.enter();
            let other = scope.spawn(|| gate.enter().1);
            thread::sleep(Duration::from_millis(50));
            assert!(!other.is_finished());
            drop(turn);
            assert!(other.join().unwrap());
        });
        let panicked = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _turn = gate.enter().0;
                    panic!("while compiling");
                })
                .join()
        });
        assert!(panicked.is_err());
        assert!(!gate.enter().1);
    }

    #[test]
    fn a_fork_compiles_with_threads_of_its_own() {
        let (turn, _) = turn();
        let compiled_by = || {
            let name = turn.compile(|| thread::current().name().map(str::to_owned)).unwrap();
            assert!(name.unwrap().starts_with("antiphon-compile-"));
            let known = POOL.lock().unwrap();
            let threads = known.as_ref().unwrap();
            assert_eq!(threads.process, process::id());
            Arc::clone(&threads.pool)
        };
        let before = compiled_by();
        // This is what a fork finds: another process started the threads. (No process has the
        // number 0.)
        POOL.lock().unwrap().as_mut().unwrap().process = 0;
        assert!(!Arc::ptr_eq(&before, &compiled_by()));
    }

    #[test]
    fn threads_that_were_refused_are_tried_for_again_after_a_pause() {
        let tries = AtomicUsize::new(0);
        // A pool whose threads cannot be started: the second one is refused.
        let refused = || {
            tries.fetch_add(1, Ordering::SeqCst);
            threads()
                .num_threads(2)
                .spawn_handler(|thread| {
                    if thread.index() > 0 {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    thread::spawn(|| thread.run());
                    Ok(())
                })
                .build()
        };
        let granted = || threads().num_threads(3).build();
        let (mut known, begun) = (None, Instant::now());
        let later = |pauses: u32| begun.checked_add(Threads::PAUSE * pauses).unwrap();

        let alone = Threads::of_this_process(&mut known, begun, &refused).unwrap();
        assert_eq!((alone.current_num_threads(), tries.load(Ordering::SeqCst)), (1, 1));
        // Within the pause nothing is tried, and after it once.
        let same = Threads::of_this_process(&mut known, begun, &granted).unwrap();
        assert!(Arc::ptr_eq(&alone, &same));
        for _ in 0..2 {
            let same = Threads::of_this_process(&mut known, later(1), &refused).unwrap();
            assert!(Arc::ptr_eq(&alone, &same));
        }
        assert_eq!(tries.load(Ordering::SeqCst), 2);
        let all = Threads::of_this_process(&mut known, later(2), &granted).unwrap();
        assert_eq!(all.current_num_threads(), 3);
        // What compiles on the one thread goes on there.
        assert_eq!(alone.install(|| 40 + 2), 42);
        let same = Threads::of_this_process(&mut known, later(9), &refused).unwrap();
        assert!(Arc::ptr_eq(&all, &same));
        assert_eq!(tries.load(Ordering::SeqCst), 2);
    }
}
