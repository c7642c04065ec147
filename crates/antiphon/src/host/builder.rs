//! The builder of both hosts.

use std::fmt;
use std::sync::Arc;

use antiphon_protocol::Limits;

use super::sync_host::WapcHost;
use crate::call::{CancelHandle, Isolation, Terms};
use crate::conversation::{LogLine, Shared};
use crate::engine::WebAssemblyEngineProvider;
use crate::errors::Result;
use crate::handler::{Handler, HostHandler};
use crate::survive::warn_where_panics_abort;

/// Builds a [`WapcHost`] or a [`WapcHostAsync`](crate::WapcHostAsync).
///
/// ```
/// use antiphon::{Limits, WapcHost, testing::TestEngine};
/// use std::time::Duration;
///
/// let host = WapcHost::builder(Box::new(TestEngine::new()))
///     .limits(Limits::new().deadline(Duration::from_millis(50)).host_calls(0))
///     .log(|line| eprintln!("{} says {}", line.host_id, line.text))
///     .build()?;
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct HostBuilder<E: ?Sized> {
    engine: Box<E>,
    shared: Shared,
}

impl<E: ?Sized> HostBuilder<E> {
    pub(super) fn new(engine: Box<E>) -> Self {
        Self { engine, shared: Shared::default() }
    }

    pub(super) fn set_handler(mut self, handler: Handler) -> Self {
        self.shared.handler = handler;
        self
    }

    pub(super) fn into_parts(self) -> (Box<E>, Shared) {
        if self.shared.log.is_some() || !matches!(self.shared.handler, Handler::None) {
            warn_where_panics_abort();
        }
        (self.engine, self.shared)
    }

    /// Sets limits. Where the provider sets one too, the stricter holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.shared.limits = Arc::new(limits);
        self
    }

    /// Sets whether calls share an instance. Where the provider asks for more isolation, its
    /// setting holds. An instance costs less when isolation is set on the provider's builder,
    /// because the engine then prepares for it.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.shared.isolation = isolation;
        self
    }

    /// Sends the guest's log lines to a function instead of to `tracing` (target
    /// `antiphon::guest`). The function must not block.
    pub fn log(mut self, sink: impl Fn(LogLine<'_>) + Send + Sync + 'static) -> Self {
        self.shared.log = Some(Arc::new(sink));
        self
    }

    /// Lets a handle end every call of the host and every start of its guest, as
    /// [`Request::cancel`](crate::Request::cancel) does for one call. It is meant for programs that
    /// shut many hosts down at once.
    ///
    /// Once the handle is used, the host serves no calls: one that begins later ends at its first
    /// wait, or within two ticks.
    pub fn stop(mut self, handle: CancelHandle) -> Self {
        // A part of the terms: dropping a call's future cannot end a guest that never gives way,
        // because such a guest looks only at its terms. That costs a call nothing, because these
        // terms stay in place from one call to the next.
        self.shared.standing = Terms::stopped_by(handle);
        self
    }

    /// Allows host calls while the guest starts. They are refused by default, because the host is
    /// not ready to serve them then.
    pub fn host_calls_in_init(mut self, allowed: bool) -> Self {
        self.shared.host_calls_in_init = allowed;
        self
    }
}

impl HostBuilder<dyn WebAssemblyEngineProvider + Send> {
    /// Sets the handler that answers the guest's host calls.
    pub fn handler(self, handler: impl HostHandler + 'static) -> Self {
        self.set_handler(Handler::Sync(Arc::new(handler)))
    }

    /// Starts the guest.
    ///
    /// # Errors
    /// Those of [`WapcHost::new`].
    pub fn build(self) -> Result<WapcHost> {
        WapcHost::start(self)
    }
}

impl<E: ?Sized> fmt::Debug for HostBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}
