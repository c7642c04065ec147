//! Modules that are served: each is a deployment, whose versions are pools.

mod admin;
mod control;
mod modules;
mod quarantine;
mod refused;
mod rule;
mod share;
mod state;
mod status;
mod version;

pub use admin::Deploy;
pub(crate) use control::{Control, Held};
pub(crate) use modules::Inner;
pub use modules::{Modules, Seams, WeakModules};
pub use refused::Refused;
pub(crate) use rule::Judge;
pub(crate) use state::Store;
pub use status::{ModuleStatus, Origin, Reason, State, Stats, VersionStatus};
pub use version::Version;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use crate::call::Failure;
use crate::feed::Logs;
use share::Serving;

/// One module: its versions, and which one gets a call.
pub struct Deployment {
    name: Arc<str>,
    serving: ArcSwap<Serving>,
    logs: Arc<Logs>,
    /// Never held while anything is awaited. Calls do not take it.
    control: Mutex<Control>,
    /// Wakes the task that works towards what the module should be.
    wish: Notify,
    /// Tells waiters that something was done.
    done: watch::Sender<u64>,
    /// Rung by versions whose starts fail.
    alarm: Arc<Notify>,
}

impl Deployment {
    pub(crate) fn new(name: Arc<str>, control: Control) -> Self {
        Self {
            serving: ArcSwap::from_pointee(control.serving()),
            logs: Arc::new(Logs::new(Arc::clone(&name))),
            name,
            control: Mutex::new(control),
            wish: Notify::new(),
            done: watch::Sender::new(0),
            alarm: Arc::default(),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the lines that the module's guests write.
    #[must_use]
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// Picks the version that gets a call. `sticky` ties calls together.
    ///
    /// # Errors
    /// No version serves.
    #[inline]
    pub fn pick(&self, sticky: Option<u64>) -> Result<Arc<Version>, Failure> {
        self.serving.load().pick(sticky).cloned()
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what `control` says visible to callers.
    pub(crate) fn publish(&self, control: &Control) {
        self.serving.store(Arc::new(control.serving()));
    }

    pub(crate) fn alarm(&self) -> &Arc<Notify> {
        &self.alarm
    }

    /// Waits until something was wished for.
    pub(crate) async fn wished(&self) {
        self.wish.notified().await;
    }

    /// Tells the task that there may be something to do.
    pub(crate) fn wish(&self) {
        self.wish.notify_one();
    }

    /// Tells all waiters to look again.
    pub(crate) fn tell(&self) {
        self.done.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits until `look` finds what it looks for.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut(&mut Control) -> Option<T>) -> T {
        let mut done = self.done.subscribe();
        loop {
            done.mark_unchanged();
            if let Some(found) = look(&mut self.control()) {
                return found;
            }
            // The sender is a part of `self`, so there is always one.
            let _ = done.changed().await;
        }
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment").field("name", &self.name).finish_non_exhaustive()
    }
}
