//! An instance of the pool's module, and how one is started.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Fate, Result};
use antiphon::{
    Awaiting, CancelHandle, HostHandler, HostHandlerAsync, Isolation, Limits, LogLine, WapcHostAsync,
};

use crate::queue::{Callers, Serves};
use crate::report::{Meters, Present};
use crate::version::{Counted, Version};

/// A host with its one instance. It has its own cache lines, because each call writes into it, and
/// two instances side by side would share a line.
#[repr(align(128))]
pub(crate) struct Instance {
    pub(crate) host: WapcHostAsync,
    pub(crate) version: Arc<Version>,
    pub(crate) counted: Arc<Counted>,
    /// How many calls it has served.
    pub(crate) calls: u64,
    /// Since when it has been idle.
    pub(crate) idle_since: Instant,
    /// Counts this instance in the metrics while it lives.
    _present: Present,
}

impl Serves for Instance {
    type Version = Arc<Version>;
    type Failure = Arc<Error>;
    type Callers = Awaiting;

    #[inline]
    fn version(&self) -> u64 {
        self.version.number
    }
}

impl Callers for Awaiting {
    fn include(&self, instance: u64) -> bool {
        self.includes(instance)
    }
}

impl Instance {
    /// Returns whether a call that ended with this error costs the instance. With
    /// `Isolation::PerCall` the host starts an instance for each call, so the host is lost only if
    /// that start failed.
    pub(crate) fn is_lost_by(&self, error: &Error) -> bool {
        match error.fate() {
            Fate::Kept => false,
            Fate::NeverBorn => matches!(error.kind(), ErrorKind::InitFailed | ErrorKind::OutOfResources),
            _ => self.host.isolation() == Isolation::Reuse,
        }
    }

    pub(crate) fn is_idle_for(&self, time: Duration) -> bool {
        self.idle_since.elapsed() >= time
    }
}

/// The destination of log lines.
pub(crate) type LogSink = Arc<dyn Fn(LogLine<'_>) + Send + Sync>;

/// The handler that all instances share.
#[derive(Clone, Default)]
pub(crate) enum Handler {
    #[default]
    None,
    Sync(Arc<dyn HostHandler>),
    Async(Arc<dyn HostHandlerAsync>),
}

/// What every instance is started with, beside its module.
#[derive(Default)]
pub(crate) struct Blueprint {
    pub(crate) handler: Handler,
    pub(crate) limits: Limits,
    pub(crate) isolation: Isolation,
    pub(crate) log: Option<LogSink>,
    pub(crate) host_calls_in_init: bool,
    /// Ends all calls and starts at the end of a drain. Dropping a future cannot end a guest that
    /// never yields, because such a guest looks only at its terms. So this handle is part of the
    /// terms of every call and start, which costs a call nothing: terms stay in place from one call
    /// to the next.
    pub(crate) stop: CancelHandle,
    pub(crate) meters: Meters,
}

impl Blueprint {
    /// Starts an instance of a version.
    pub(crate) async fn start(&self, version: Arc<Version>) -> Result<Box<Instance>> {
        let _starting = self.meters.starting();
        let provider = version.factory.provider_async().map_err(Error::from_engine)?;
        let mut builder = WapcHostAsync::builder(provider)
            .limits(self.limits)
            .isolation(self.isolation)
            .host_calls_in_init(self.host_calls_in_init)
            .stop(self.stop.clone());
        builder = match &self.handler {
            Handler::None => builder,
            Handler::Sync(handler) => builder.handler_sync(Arc::clone(handler)),
            Handler::Async(handler) => builder.handler(Arc::clone(handler)),
        };
        if let Some(log) = self.log.clone() {
            builder = builder.log(move |line| log(line));
        }
        let host = builder.build().await?;
        version.set_deadline(host.limits().deadline_or_default());
        let present = self.meters.present();
        let (counted, idle_since) = (version.counted(), Instant::now());
        Ok(Box::new(Instance { host, version, counted, calls: 0, idle_since, _present: present }))
    }
}
