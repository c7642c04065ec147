//! What the stress and the soak call: a host, or another program that serves the calls of one
//! guest.
//!
//! The suite knows only this trait. A pool therefore runs the traffic and its verdict from a
//! program of its own, and the suite does not depend on the pool. Each call costs a boxed future,
//! which does not matter here: the traffic measures nothing as short as that.

use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{EngineProviderFactory, HostHandlerAsync, Isolation, Limits, LogLine, Request, Response};

use crate::suite::{Host, Log};
use crate::support::Handler;

/// Serves the calls of one guest, for any number of concurrent callers: what
/// [`soak_callees`](crate::soak_callees()) calls.
///
/// It behaves like `WapcHostAsync`, error kinds included, and never refuses a call for having too
/// many of them. To drop a future is to abandon its call.
#[async_trait::async_trait]
pub trait Callee: Send + Sync {
    /// Calls an operation without options.
    ///
    /// # Errors
    /// Those of `WapcHostAsync::call`.
    async fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, Error>;

    /// Calls an operation with options.
    ///
    /// # Errors
    /// Those of `WapcHostAsync::call_with`.
    async fn call_with(&self, request: Request<'_>) -> Result<Response, Error>;

    /// Replaces the module while calls go on.
    ///
    /// # Errors
    /// `ReplaceFailed`, with the reason as its source; the old module serves on.
    async fn replace(&self, module: &[u8]) -> Result<(), Error>;

    /// Returns the id of the host that every log line must carry; `None`, the default, where there
    /// are several hosts.
    fn host_id(&self) -> Option<u64> {
        None
    }

    /// Reports whether everything was given back. Called once, after the last call has ended. The
    /// default reports success.
    ///
    /// # Errors
    /// A description of what was not given back.
    async fn end(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a callee must be made of. It must use every part: the traffic reports a missing one as
/// unexpected outcomes.
#[derive(Clone)]
pub struct Parts {
    pub(crate) factory: Arc<dyn EngineProviderFactory>,
    pub(crate) limits: Limits,
    pub(crate) isolation: Isolation,
    pub(crate) handler: Handler,
    pub(crate) log: Log,
}

impl Parts {
    /// Returns the guest, on the engine under test.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn EngineProviderFactory> {
        Arc::clone(&self.factory)
    }

    /// Returns the limits of every call.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns whether calls share instances. The factory was built with the same setting.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Returns the handler of the guest's host calls; it may wait.
    #[must_use]
    pub fn handler(&self) -> impl HostHandlerAsync + 'static + use<> {
        self.handler.clone()
    }

    /// Returns the sink of the guest's log lines.
    pub fn log(&self) -> impl Fn(LogLine<'_>) + Send + Sync + 'static + use<> {
        let log = self.log.clone();
        move |line| log.push(line)
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limits, isolation, .. } = self;
        f.debug_struct("Parts").field("limits", limits).field("isolation", isolation).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl Callee for Host {
    async fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Sync(host) => host.call(operation, payload),
            Self::Async(host) => host.call(operation, payload).await,
        }
    }

    async fn call_with(&self, request: Request<'_>) -> Result<Response, Error> {
        self.call_later(request).await
    }

    async fn replace(&self, module: &[u8]) -> Result<(), Error> {
        self.replace_later(module).await
    }

    fn host_id(&self) -> Option<u64> {
        Some(self.id())
    }
}
