//! The synchronous provider.

use std::fmt;
use std::sync::Arc;

use antiphon::errors::{BoxError, Error, Fate};
use antiphon::{
    Conversation, EngineProviderFactory, Limits, ModuleState, Watch, WebAssemblyEngineProvider, block_on,
};

use crate::compiled::{Compiled, Factory};
use crate::errors::Result;
use crate::instance::{Instance, Mode};
use crate::options::EpochDeadlines;

/// Runs one instance of a guest for a [`WapcHost`](antiphon::WapcHost).
///
/// Made by [`WasmtimeEngineProviderBuilder::build`](crate::WasmtimeEngineProviderBuilder::build). A clone is a provider
/// of the same module whose instance has not been started.
pub struct WasmtimeEngineProvider {
    compiled: Arc<Compiled>,
    state: Option<Arc<ModuleState>>,
    instance: Option<Instance>,
}

impl WasmtimeEngineProvider {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled, state: None, instance: None }
    }

    /// How guest code runs in this mode: straight, but for guests with directories, whose functions all suspend; this
    /// thread parks meanwhile.
    fn mode(&self) -> Mode {
        #[cfg(feature = "wasi-fs")]
        if self.compiled.has_directories() {
            return Mode::Fiber { yields: false };
        }
        Mode::Straight
    }

    fn start(compiled: &Compiled, mode: Mode, state: &ModuleState) -> Result<Instance, Error> {
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let watch = compiled.has_directories().then(|| conversation.watch());
        let start = Instance::start(compiled, &mut conversation, state.spare(), (mode, &compiled.straight));
        let started = block_on(watched(watch, start));
        state.exchange(&mut conversation);
        started
    }
}

impl WebAssemblyEngineProvider for WasmtimeEngineProvider {
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), BoxError> {
        // The old instance goes first: its memory is not needed to build the next one.
        self.instance = None;
        self.instance = Some(Self::start(&self.compiled, self.mode(), &host)?);
        self.state = Some(host);
        Ok(())
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let Some(state) = self.state.clone() else { return Err(Error::not_started().into()) };
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let returned = self.converse(&mut conversation);
        state.exchange(&mut conversation);
        returned.unwrap_or_else(|| Err(Error::not_started().into()))
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        let Some(state) = &self.state else { return Err(Error::not_started().into()) };
        let factory = Factory(Arc::clone(&self.compiled)).compile(bytes)?;
        let next = Self::start(&factory.0, self.mode(), state)?;
        (self.compiled, self.instance) = (factory.0, Some(next));
        Ok(())
    }

    #[inline]
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        let instance = self.instance.as_mut()?;
        let returned = match instance.mode() {
            Mode::Straight => instance.call(conversation),
            #[cfg(any(feature = "async", feature = "wasi-fs"))]
            Mode::Fiber { .. } => call_parked(instance, conversation),
        };
        Some(match returned {
            Ok(code) => Ok(code),
            Err(error) => Err(discard(&mut self.instance, error).into()),
        })
    }

    fn limits(&self) -> Limits {
        self.compiled.limits
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(Factory(Arc::clone(&self.compiled))))
    }
}

/// Runs a guest that suspends, while this thread parks.
#[cfg(any(feature = "async", feature = "wasi-fs"))]
#[cold]
fn call_parked(instance: &mut Instance, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
    block_on(call_watched(instance, conversation))
}

/// Runs a guest with directories: files are waited for outside the conversation, so the deadline is kept around them.
#[cfg(any(feature = "async", feature = "wasi-fs"))]
pub(crate) async fn call_watched(
    instance: &mut Instance,
    conversation: &mut Box<Conversation>,
) -> Result<i32, Error> {
    let watch = conversation.watch();
    match watch.over(instance.call_async(conversation)).await {
        Ok(returned) => returned,
        Err(error) => instance.flush_abandoned().and(Err(error)),
    }
}

/// Starts an instance, under a watch where the guest may wait outside the conversation.
pub(crate) async fn watched(
    watch: Option<Watch>,
    start: impl Future<Output = Result<Instance, Error>>,
) -> Result<Instance, Error> {
    match watch {
        None => start.await,
        Some(watch) => watch.over(start).await.unwrap_or_else(|error| Err(Error::init("instance", error))),
    }
}

/// An instance that must not be used again goes at once, with its memory: the host may be idle for long.
#[cold]
pub(crate) fn discard(instance: &mut Option<Instance>, error: Error) -> Error {
    if error.fate() == Fate::Discarded {
        *instance = None;
    }
    error
}

impl Clone for WasmtimeEngineProvider {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.compiled))
    }
}

impl fmt::Debug for WasmtimeEngineProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeEngineProvider")
            .field("started", &self.instance.is_some())
            .finish_non_exhaustive()
    }
}

/// A compiled module from which synchronous providers are made quickly.
#[derive(Clone)]
pub struct WasmtimeEngineProviderPre {
    compiled: Arc<Compiled>,
}

impl WasmtimeEngineProviderPre {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled }
    }

    /// A provider of this module, with deadlines in epoch ticks or without.
    ///
    /// # Errors
    /// Epoch deadlines on an engine without epoch interruption.
    pub fn rehydrate(&self, epoch_deadlines: Option<EpochDeadlines>) -> Result<WasmtimeEngineProvider> {
        Ok(WasmtimeEngineProvider::new(Compiled::with_epochs(&self.compiled, epoch_deadlines)?))
    }

    /// The same module as a factory.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn EngineProviderFactory> {
        Arc::new(Factory(Arc::clone(&self.compiled)))
    }
}

impl fmt::Debug for WasmtimeEngineProviderPre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeEngineProviderPre").finish_non_exhaustive()
    }
}
