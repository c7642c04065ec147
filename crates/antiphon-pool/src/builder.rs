//! Builds a pool from its settings.

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

/// The shortest pause between two starts that fail. Without a pause a thread would do nothing but
/// start instances.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause between two starts that fail: a time that can be added to any clock.
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
    /// Creates a builder of a pool of instances of this factory's module.
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

    /// Names the pool in metrics, for programs with several pools. The default is `antiphon`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Keeps at least this many instances even when no call needs them. The default is 1. `build`
    /// starts this many, and at least one.
    pub fn min(mut self, instances: usize) -> Self {
        self.min = instances;
        self
    }

    /// Limits the number of instances, and so the number of calls that run at once. The default is
    /// the parallelism of the machine, or [`min`](Self::min) if that is larger. The value has to be
    /// from 1 to [`HostPool::MAX_INSTANCES`]. If handlers call their own pool, each level of such
    /// calls holds one more instance.
    pub fn max(mut self, instances: usize) -> Self {
        self.max = Some(instances);
        self
    }

    /// Limits how many calls may wait while all `max` instances exist and are busy. The default is
    /// twice [`max`](Self::max); with 0 the pool then refuses every call. A call that waits for an
    /// instance that still has to be started or rebuilt does not count.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = Some(calls);
        self
    }

    /// Limits how long a call may wait for an instance. By default only the deadline of the call
    /// limits the wait, which counts towards it. The limit is exact to two ticks
    /// ([`TICK`](antiphon::ticker::TICK), 5 ms).
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// Sets how long an instance beyond [`min`](Self::min) may be idle before the pool drops it,
    /// exact to half of that time and a tick. The default is one minute. `Duration::MAX` keeps idle
    /// instances forever.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// Rebuilds an instance after this many calls; 0 counts as 1. The default is never. The setting
    /// has no use with [`Isolation::PerCall`], where each call has an instance of its own.
    pub fn recycle_after(mut self, calls: u64) -> Self {
        self.recycle = Some(calls);
        self
    }

    /// Sets the pause after a failed start and the longest pause. Each further failure doubles the
    /// pause. The defaults are 50 ms and 30 s; both are at least 1 ms and at most one day. During
    /// that time the pool tries to start only one instance at a time.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = (first, longest);
        self
    }

    /// Sets whether the calls of an instance share the guest's memory. If the factory asks for more
    /// isolation, the pool uses that. An engine whose factory is also set to that isolation
    /// prepares for it, and its instances cost less.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.blueprint.isolation = isolation;
        self
    }

    /// Sets the limits of every instance. Where the factory sets a limit too, the stricter one
    /// holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.blueprint.limits = limits;
        self
    }

    /// Answers the host calls of all instances with a handler that may wait. Such a handler may
    /// call the pool on behalf of its caller ([`Request::caller`](antiphon::Request::caller)), and
    /// should hold the pool as a [`WeakHostPool`](crate::WeakHostPool).
    pub fn handler(mut self, handler: impl HostHandlerAsync + 'static) -> Self {
        self.blueprint.handler = Handler::Async(Arc::new(handler));
        self
    }

    /// Answers the host calls of all instances with a handler that never waits. Guests then need no
    /// means to suspend.
    pub fn handler_sync(mut self, handler: impl HostHandler + 'static) -> Self {
        self.blueprint.handler = Handler::Sync(Arc::new(handler));
        self
    }

    /// Sends the guests' log lines to this function instead of `tracing` (target
    /// `antiphon::guest`). The function must not block.
    pub fn log(mut self, sink: impl Fn(LogLine<'_>) + Send + Sync + 'static) -> Self {
        self.blueprint.log = Some(Arc::new(sink));
        self
    }

    /// Sets whether a guest may make host calls while it starts. They are refused by default.
    pub fn host_calls_in_init(mut self, allowed: bool) -> Self {
        self.blueprint.host_calls_in_init = allowed;
        self
    }

    /// Starts the first instances.
    ///
    /// # Errors
    /// [`InitFailed`](ErrorKind::InitFailed) or [`InvalidModule`](ErrorKind::InvalidModule) if the
    /// guest cannot be started, and [`OutOfResources`](ErrorKind::OutOfResources) if the machine lacks
    /// what that takes. [`Unsupported`](ErrorKind::Unsupported) if the settings contradict
    /// each other, or the engine has no asynchronous mode.
    ///
    /// # Cancel safety
    /// Dropping the future drops all instances that were started.
    pub async fn build(self) -> Result<HostPool> {
        let settings = self.settings()?;
        let mut blueprint = self.blueprint;
        blueprint.meters = Meters::new(&self.name);
        let history = Arc::new(History::default());
        let version = Version::new(1, self.factory, &history);
        let bounds = Bounds { places: settings.max, kept: settings.min, waiting: settings.queue };
        let inner = Arc::new_cyclic(|inner| {
            let bell = Bell::new(Weak::clone(inner));
            Inner {
                keeper: bell.keeper(),
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

    /// Builds the pool as [`build`](Self::build) does, on a thread that has no runtime.
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
