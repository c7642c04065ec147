//! What a host is built from.

use std::fmt;
use std::sync::Arc;

use antiphon_protocol::Limits;

use super::sync_host::WapcHost;
use crate::call::{CancelHandle, Isolation, Terms};
use crate::conversation::{LogLine, Shared};
use crate::engine::WebAssemblyEngineProvider;
use crate::errors::Result;
use crate::handler::{Handler, HostHandler};

/// Builds a [`WapcHost`] or a [`WapcHostAsync`](crate::WapcHostAsync).
///
/// ```
/// use antiphon::{Limits, WapcHost, testing::TestEngine};
/// use std::time::Duration;
///
/// let host = WapcHost::builder(Box::new(TestEngine::new()))
///     .limits(Limits::new().with_deadline(Duration::from_millis(50)).with_host_calls(0))
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
        (self.engine, self.shared)
    }

    /// Sets limits; where the provider sets one too, the stricter holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.shared.limits = Arc::new(limits);
        self
    }

    /// Whether calls share an instance; where the provider asks for more, it gets it. On its builder the engine prepares for
    /// it, and instances cost less.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.shared.isolation = isolation;
        self
    }

    /// Sends the guest's log lines to a function rather than to `tracing` (target `antiphon::guest`). It must not block.
    pub fn log(mut self, sink: impl Fn(LogLine<'_>) + Send + Sync + 'static) -> Self {
        self.shared.log = Some(Arc::new(sink));
        self
    }

    /// Lets a handle end every call of the host, and every start of its guest, as
    /// [`Request::cancel`](crate::Request::cancel) does for one call: for who shuts many hosts down at once. A host whose handle
    /// was used serves no call any more: one that begins later ends at its first wait, or within two ticks.
    pub fn stop(mut self, handle: CancelHandle) -> Self {
        self.shared.standing = Terms::stopped_by(handle);
        self
    }

    /// Allows host calls while the guest starts; refused by default, as the host is not ready to serve it then.
    pub fn host_calls_in_init(mut self, allowed: bool) -> Self {
        self.shared.host_calls_in_init = allowed;
        self
    }
}

impl HostBuilder<dyn WebAssemblyEngineProvider + Send> {
    /// Answers the guest's host calls.
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
