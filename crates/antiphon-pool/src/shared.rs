//! What all clones of a pool share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Result};

use crate::instance::{Blueprint, Instance};
use crate::keeper::Keeper;
use crate::queue::{Queue, Refusal};
use crate::report::Tally;
use crate::version::{History, Version};

/// The state that all clones of a pool share.
pub(crate) struct Inner {
    pub(crate) queue: Queue<Instance>,
    pub(crate) keeper: Keeper,
    pub(crate) settings: Settings,
    pub(crate) blueprint: Blueprint,
    pub(crate) history: Arc<History>,
    pub(crate) tally: Tally,
    /// The number of the newest version, whether or not it serves yet.
    pub(crate) last_version: AtomicU64,
}

/// The builder's settings for the pool itself.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) queue: usize,
    /// How long a call may wait for an instance.
    pub(crate) wait: Duration,
    /// How long an instance above `min` may be idle.
    pub(crate) idle: Duration,
    /// After how many calls an instance is rebuilt.
    pub(crate) recycle: u64,
    /// The first pause after a failed start, and the longest one.
    pub(crate) backoff: (Duration, Duration),
}

impl Inner {
    /// Starts instances of a version while the old one serves, and then makes the new one serve.
    /// Instances that find no place yet wait in reserve for a place that an old call gives up, so
    /// both versions together never run more guests than the pool may.
    pub(crate) async fn serve(&self, version: Arc<Version>) -> Result<()> {
        let mut started = Vec::new();
        for _ in 0..self.settings.min.max(1) {
            started.push(self.blueprint.start(Arc::clone(&version)).await?);
        }
        self.queue.switch((version.number, version), started).map_err(|refusal| self.refusal(refusal))
    }

    pub(crate) fn refusal(&self, refusal: Refusal<Arc<Error>>) -> Error {
        match refusal {
            Refusal::Full => {
                let Settings { max, queue, .. } = self.settings;
                let what =
                    format!("the pool's {max} instances are busy, and {queue} calls wait: the queue is full");
                Error::new(ErrorKind::Overloaded, what)
            }
            Refusal::Failing(failure) => {
                let kind = match failure.kind() {
                    ErrorKind::OutOfResources => ErrorKind::OutOfResources,
                    _ => ErrorKind::InitFailed,
                };
                Error::new(kind, failure.message().to_owned()).with_source(Failure(failure)).never_born()
            }
            // The table of kinds has none for a drained pool. A caller does what it does with a
            // full one: it goes elsewhere.
            Refusal::Closed => {
                Error::new(ErrorKind::Overloaded, "the pool takes no more calls: it was drained")
            }
            Refusal::Circle => {
                let max = self.settings.max;
                let what = format!(
                    "a handler called its own pool, all {max} of whose instances wait for handlers that do so: none would ever be \
                     free; give the pool a larger `max` than there are such calls at once, or let them call a pool of their own"
                );
                Error::new(ErrorKind::Reentrancy, what).keeping_instance()
            }
            Refusal::Cut => {
                let what = "the pool was drained: the call waited until the end of the grace";
                Error::new(ErrorKind::Cancelled, what).keeping_instance()
            }
        }
    }
}

/// A failed start, as the source of the errors of many calls.
#[derive(Debug)]
struct Failure(Arc<Error>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
