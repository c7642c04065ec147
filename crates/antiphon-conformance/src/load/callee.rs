//! What long traffic calls: a host, or whatever else serves the calls of one guest.

use std::sync::Arc;

use antiphon::errors::Error;
use antiphon::{EngineProviderFactory, HostHandlerAsync, Isolation, Limits, LogLine, Request, Response};

use crate::suite::{Host, Log};
use crate::support::Handler;

/// Serves the calls of one guest, for any number of callers at once: what [`soak_callees`](crate::soak_callees()) calls.
///
/// It does what `WapcHostAsync` does, error kinds included, and refuses no call because there are many. A dropped future is
/// a call that was given up.
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

    /// The host that every log line has to be of; `None`, the default, where there are several.
    fn host_id(&self) -> Option<u64> {
        None
    }

    /// Called once when the last call has ended, to say whether all is back where it belongs; by default it is.
    ///
    /// # Errors
    /// What is not, for a person.
    async fn end(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a callee has to be made of: nothing of it may be left out, or the traffic finds its absence unexpected.
#[derive(Clone)]
pub struct Parts {
    pub(crate) factory: Arc<dyn EngineProviderFactory>,
    pub(crate) limits: Limits,
    pub(crate) isolation: Isolation,
    pub(crate) handler: Handler,
    pub(crate) log: Log,
}

impl Parts {
    /// The guest, on the engine under test.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn EngineProviderFactory> {
        Arc::clone(&self.factory)
    }

    /// The limits of every call.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether calls share instances; the factory was asked for the same.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// What answers the guest's host calls; it may wait.
    #[must_use]
    pub fn handler(&self) -> impl HostHandlerAsync + 'static + use<> {
        self.handler.clone()
    }

    /// Where the guest's log lines go.
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
