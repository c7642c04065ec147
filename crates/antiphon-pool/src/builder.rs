//! What a pool is built from.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::{EngineProviderFactory, HostHandler, HostHandlerAsync, Isolation, Limits, LogLine, block_on};

use crate::instance::{Blueprint, Handler};
use crate::keeper::Bell;
use crate::pool::HostPool;
use crate::queue::{Bounds, Queue};
use crate::report::{Meters, Tally};
use crate::shared::{Inner, Settings};
use crate::version::{History, Version};

/// Between two starts that fail: without any the pool's thread would do nothing else.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// A time that any clock can add.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// Builds a [`HostPool`].
///
/// ```
/// use antiphon::testing::{TestEngine, TestFactory};
/// use antiphon_pool::{HostPool, Isolation};
/// use std::{sync::Arc, time::Duration};
///
/// let guest = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
/// let pool = HostPool::builder(Arc::new(TestFactory::new(guest)))
///     .min(1)
///     .max(8)
///     .queue(64)
///     .wait(Duration::from_millis(250))
///     .isolation(Isolation::PerCall)
///     .build_blocking()?;
/// assert_eq!(pool.call_blocking("echo", b"hi")?, b"hi");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct HostPoolBuilder {
    factory: Arc<dyn EngineProviderFactory>,
    name: String,
    min: usize,
    max: Option<usize>,
    queue: Option<usize>,
    wait: Duration,
    idle: Duration,
    recycle: Option<u64>,
    backoff: (Duration, Duration),
    blueprint: Blueprint,
}

impl HostPool {
    /// A pool of instances of that factory's module, with settings to be made.
    pub fn builder(factory: Arc<dyn EngineProviderFactory>) -> HostPoolBuilder {
        HostPoolBuilder::new(factory)
    }
}

impl HostPoolBuilder {
    fn new(factory: Arc<dyn EngineProviderFactory>) -> Self {
        Self {
            factory,
            name: "antiphon".into(),
            min: 1,
            max: None,
            queue: None,
            wait: Duration::MAX,
            idle: Duration::from_secs(60),
            recycle: None,
            backoff: (Duration::from_millis(50), Duration::from_secs(30)),
            blueprint: Blueprint::default(),
        }
    }

    /// What the pool is called in metrics, where a program has several; `antiphon` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Instances that are kept although no call needs them; 1 by default. So many are started before the pool is built, one
    /// at least.
    pub fn min(mut self, instances: usize) -> Self {
        self.min = instances;
        self
    }

    /// The most instances at once, and so the most calls that run at once; by default as many as the machine can run in
    /// parallel, or [`min`](Self::min) where that is more. From 1 to [`HostPool::MAX_INSTANCES`]. Where handlers call their own
    /// pool, each level of such calls holds an instance more.
    pub fn max(mut self, instances: usize) -> Self {
        self.max = Some(instances);
        self
    }

    /// How many calls may wait while all `max` instances are there and busy; twice [`max`](Self::max) by default, 0 for a pool
    /// that then refuses every call. A call that waits for an instance that is still to be started, or started again, takes none
    /// of these places.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = Some(calls);
        self
    }

    /// How long a call may wait for an instance, beside its deadline, which counts its wait too; by default only that. To within
    /// two ticks ([`TICK`](antiphon::ticker::TICK), 5 ms).
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// How long an instance beyond [`min`](Self::min) may be idle before it is dropped, to within half of it and a tick; a
    /// minute by default. `Duration::MAX` keeps them.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// Rebuilds an instance after so many calls, 0 being as 1; never by default. Of no use with
    /// [`Isolation::PerCall`], where each call has an instance of its own.
    pub fn recycle_after(mut self, calls: u64) -> Self {
        self.recycle = Some(calls);
        self
    }

    /// The pause after a start that failed, which doubles with each that follows, and the longest pause; 50 ms and 30 s by
    /// default, 1 ms at least and a day at most. Only one instance is tried at a time meanwhile.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = (first, longest);
        self
    }

    /// Whether the calls of an instance share what the guest keeps in its memory; where the factory asks for more isolation,
    /// it gets it. Set there too, the engine prepares for it, and instances cost less.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.blueprint.isolation = isolation;
        self
    }

    /// Sets the limits of every instance; where the factory sets one too, the stricter holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.blueprint.limits = limits;
        self
    }

    /// Answers the host calls of all instances, and may wait for that. Such a handler may call the pool, around its caller
    /// ([`Request::caller`](antiphon::Request::caller)), and should know it as a [`WeakHostPool`](crate::WeakHostPool).
    pub fn handler(mut self, handler: impl HostHandlerAsync + 'static) -> Self {
        self.blueprint.handler = Handler::Async(Arc::new(handler));
        self
    }

    /// Answers the host calls of all instances without ever waiting, which saves guests the means to suspend.
    pub fn handler_sync(mut self, handler: impl HostHandler + 'static) -> Self {
        self.blueprint.handler = Handler::Sync(Arc::new(handler));
        self
    }

    /// Sends the guests' log lines to a function rather than to `tracing` (target `antiphon::guest`). It must not block.
    pub fn log(mut self, sink: impl Fn(LogLine<'_>) + Send + Sync + 'static) -> Self {
        self.blueprint.log = Some(Arc::new(sink));
        self
    }

    /// Allows host calls while a guest starts; refused by default.
    pub fn host_calls_in_init(mut self, allowed: bool) -> Self {
        self.blueprint.host_calls_in_init = allowed;
        self
    }

    /// Starts the first instances.
    ///
    /// # Errors
    /// [`InitFailed`](ErrorKind::InitFailed) or [`InvalidModule`](ErrorKind::InvalidModule): the guest cannot be started.
    /// [`Unsupported`](ErrorKind::Unsupported): the settings do not go together, or the engine has no asynchronous mode.
    ///
    /// # Cancel safety
    /// Dropping the future drops whatever was started.
    pub async fn build(self) -> Result<HostPool> {
        let settings = self.settings()?;
        let mut blueprint = self.blueprint;
        blueprint.meters = Meters::new(&self.name);
        let history = Arc::new(History::default());
        let version = Version::new(1, self.factory, &history, settings.max);
        let bounds = Bounds { places: settings.max, kept: settings.min, waiting: settings.queue };
        let inner = Arc::new_cyclic(|inner| {
            let bell = Bell::new(Weak::clone(inner));
            Inner {
                queue: Queue::new(bounds, (1, Arc::clone(&version)), move || bell.ring()),
                settings,
                blueprint,
                history,
                tally: Tally::default(),
                last_version: AtomicU64::new(1),
            }
        });
        inner.serve(version).await?;
        Ok(HostPool::new(inner))
    }

    /// [`build`](Self::build) on a thread that has no runtime.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_blocking(self) -> Result<HostPool> {
        block_on(self.build())
    }

    fn settings(&self) -> Result<Settings> {
        let parallel = || thread::available_parallelism().map_or(1, usize::from);
        let max = self.max.unwrap_or_else(|| parallel().max(self.min));
        if max == 0 || self.min > max || max > HostPool::MAX_INSTANCES {
            let what = format!(
                "a pool of {} to {max} instances: `max` has to be above 0, not below `min`, and {} at most",
                self.min,
                HostPool::MAX_INSTANCES
            );
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let (first, longest) = self.backoff;
        let first = first.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        Ok(Settings {
            min: self.min,
            max,
            queue: self.queue.unwrap_or(max.saturating_mul(2)),
            wait: self.wait,
            idle: self.idle,
            recycle: self.recycle.unwrap_or(u64::MAX),
            backoff: (first, longest.clamp(first, LONGEST_PAUSE)),
        })
    }
}

impl fmt::Debug for HostPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostPoolBuilder")
            .field("min", &self.min)
            .field("max", &self.max)
            .field("queue", &self.queue)
            .field("isolation", &self.blueprint.isolation)
            .finish_non_exhaustive()
    }
}
