//! What wakes the keeper, and the loop of its thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use antiphon::ticker::survive;

use super::chores::{Chores, PAUSE};
use crate::shared::Inner;
use crate::sync::{Mutex, lock};

/// Wakes the keeper: when it is rung, and when it is dropped, which is when the pool is gone.
pub(crate) struct Bell(Arc<Keeper>);

/// The keeper's thread, seen from outside.
struct Keeper {
    /// Whether the bell was rung since the keeper last looked.
    rung: AtomicBool,
    thread: OnceLock<Thread>,
    /// The pool that the thread serves. The lock is held while the thread is being started.
    pool: Mutex<Weak<Inner>>,
}

impl Bell {
    /// Returns a bell for a pool, which may be one that is still being built.
    pub(crate) fn new(pool: Weak<Inner>) -> Self {
        Self(Arc::new(Keeper {
            rung: AtomicBool::new(false),
            thread: OnceLock::new(),
            pool: Mutex::new(pool),
        }))
    }

    /// Tells the keeper that there may be something to do, and starts its thread if there is none.
    pub(crate) fn ring(&self) {
        self.0.rung.store(true, Ordering::SeqCst);
        match self.0.thread.get() {
            Some(thread) => thread.unpark(),
            None => self.0.start(),
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.rung.store(true, Ordering::SeqCst);
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }
}

impl Keeper {
    #[cold]
    fn start(self: &Arc<Self>) {
        let pool = lock(&self.pool);
        if let Some(thread) = self.thread.get() {
            // Another caller has started the thread in between; it may already be asleep.
            return thread.unpark();
        }
        if pool.strong_count() == 0 {
            return;
        }
        let (weak, keeper) = (Weak::clone(&pool), Arc::clone(self));
        // If no thread can be started, waiting calls wait until their deadlines; the next ring
        // tries again.
        if let Ok(handle) =
            thread::Builder::new().name("antiphon-pool".into()).spawn(move || keeper.serve(&weak))
        {
            let _ = self.thread.set(handle.thread().clone());
        }
    }

    fn serve(&self, pool: &Weak<Inner>) {
        let mut chores = Chores::default();
        loop {
            self.rung.store(false, Ordering::SeqCst);
            let Some(pool) = pool.upgrade() else { return };
            let mut next = Instant::now().checked_add(PAUSE);
            survive(|| next = chores.run(&pool));
            // This may drop the last reference to the pool; the next round then ends the thread.
            drop(pool);
            while !self.rung.load(Ordering::SeqCst) {
                match next.map(|at| at.saturating_duration_since(Instant::now())) {
                    Some(Duration::ZERO) => break,
                    Some(time) => thread::park_timeout(time),
                    None => thread::park(),
                }
            }
        }
    }
}
