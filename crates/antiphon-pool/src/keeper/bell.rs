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
pub(crate) struct Keeper {
    /// Whether the bell was rung since the keeper last looked.
    rung: AtomicBool,
    thread: OnceLock<Thread>,
    /// The pool that the thread serves. The lock is held while the thread is being started.
    pool: Mutex<Weak<Inner>>,
    /// Whether the system refused the thread when the bell was last rung.
    absent: AtomicBool,
    /// What a caller remembers that starts instances instead of the thread. Empty while a
    /// caller does so.
    stand_in: Mutex<Option<Chores>>,
}

impl Bell {
    /// Returns a bell for a pool, which may be one that is still being built.
    pub(crate) fn new(pool: Weak<Inner>) -> Self {
        Self(Arc::new(Keeper {
            rung: AtomicBool::new(false),
            thread: OnceLock::new(),
            pool: Mutex::new(pool),
            absent: AtomicBool::new(false),
            stand_in: Mutex::new(Some(Chores::default())),
        }))
    }

    /// Returns the keeper that the bell wakes.
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        Arc::clone(&self.0)
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
        // If no thread can be started, the calls that wait start instances themselves. The next
        // ring tries again.
        let started = thread::Builder::new().name("antiphon-pool".into()).spawn(move || keeper.serve(&weak));
        self.absent.store(started.is_err(), Ordering::SeqCst);
        if let Ok(handle) = started {
            let _ = self.thread.set(handle.thread().clone());
        }
    }

    /// Returns whether the system has refused the keeper's thread.
    pub(crate) fn is_absent(&self) -> bool {
        self.absent.load(Ordering::SeqCst)
    }

    /// Starts an instance instead of the keeper, in the time of the caller. Does nothing if
    /// another caller is doing so.
    ///
    /// # Cancel safety
    /// A dropped start gives its place up.
    pub(crate) async fn stand_in(&self, pool: &Inner) {
        /// Returns what is remembered, also from a start that is dropped.
        struct Kept<'a>(&'a Keeper, Option<Chores>);

        impl Drop for Kept<'_> {
            fn drop(&mut self) {
                *lock(&self.0.stand_in) = self.1.take();
            }
        }

        let chores = lock(&self.stand_in).take();
        let mut kept = match chores {
            Some(chores) => Kept(self, Some(chores)),
            None => return,
        };
        if let Some(chores) = &mut kept.1 {
            chores.start_one(pool).await;
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
