//! The asynchronous provider.

use std::fmt;
use std::sync::Arc;

use antiphon::errors::{BoxError, Error, Fate};
use antiphon::{
    BoxFuture, Conversation, EngineProviderFactory, Limits, ModuleStateAsync, WebAssemblyEngineProviderAsync,
};
use async_trait::async_trait;

use crate::compiled::{Compiled, Factory};
use crate::errors::Result;
use crate::instance::{Instance, Mode};
use crate::provider::{call_watched, discard, watched};

/// Runs one instance of a guest for a [`WapcHostAsync`](antiphon::WapcHostAsync).
///
/// Made by [`WasmtimeEngineProviderBuilder::build_async`](crate::WasmtimeEngineProviderBuilder::build_async). A clone
/// is a provider of the same module whose instance has not been started.
///
/// Guest code runs on a stack of its own: while the guest waits for its host, its thread serves other tasks, and at
/// each tick of 5 ms it gives way to them. `cooperative(false)` on the builder runs guests that cannot wait straight.
pub struct WasmtimeEngineProviderAsync {
    compiled: Arc<Compiled>,
    state: Option<Arc<ModuleStateAsync>>,
    instance: Option<Instance>,
}

impl WasmtimeEngineProviderAsync {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled, state: None, instance: None }
    }

    async fn start(compiled: &Compiled, state: &ModuleStateAsync) -> Result<Instance, Error> {
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        // A guest suspends only where it may have to: instances without such imports can also run straight.
        let suspends = compiled.waits() || (compiled.calls_host() && conversation.can_suspend());
        let cooperative = compiled.settings.cooperative;
        let how = match (suspends || compiled.has_directories(), cooperative) {
            (true, yields) => (Mode::Fiber { yields }, &compiled.suspending),
            (false, true) => (Mode::Fiber { yields: true }, &compiled.straight),
            (false, false) => (Mode::Straight, &compiled.straight),
        };
        let watch = compiled.has_directories().then(|| conversation.watch());
        let start = Instance::start(compiled, &mut conversation, state.spare(), how);
        let started = watched(watch, start).await;
        state.exchange(&mut conversation);
        started
    }
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for WasmtimeEngineProviderAsync {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.instance = None;
        self.instance = Some(Self::start(&self.compiled, &host).await?);
        self.state = Some(host);
        Ok(())
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let (Some(state), Some(instance)) = (self.state.clone(), &mut self.instance) else {
            return Err(Error::not_started().into());
        };
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let returned = match instance.mode() {
            Mode::Straight => instance.call(&mut conversation),
            Mode::Fiber { .. } => instance.call_async(&mut conversation).await,
        };
        state.exchange(&mut conversation);
        Ok(returned?)
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        let Some(state) = &self.state else { return Err(Error::not_started().into()) };
        let factory = Factory(Arc::clone(&self.compiled)).compile(bytes)?;
        let next = Self::start(&factory.0, state).await?;
        (self.compiled, self.instance) = (factory.0, Some(next));
        Ok(())
    }

    #[inline]
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        match &mut self.instance {
            Some(instance) if instance.mode() == Mode::Straight => Some(match instance.call(conversation) {
                Ok(code) => Ok(code),
                Err(error) => Err(discard(&mut self.instance, error).into()),
            }),
            _ => None,
        }
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        let directories = self.compiled.has_directories();
        // Taken for the time of the call: a future that is dropped takes the instance, with its memory, along.
        let mut instance = self.instance.take()?;
        Some(Box::pin(async move {
            let returned = if directories {
                call_watched(&mut instance, conversation).await
            } else {
                instance.call_async(conversation).await
            };
            if returned.as_ref().err().is_none_or(|error| error.fate() != Fate::Discarded) {
                self.instance = Some(instance);
            }
            Ok(returned?)
        }))
    }

    fn limits(&self) -> Limits {
        self.compiled.limits
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(Factory(Arc::clone(&self.compiled))))
    }
}

impl Clone for WasmtimeEngineProviderAsync {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.compiled))
    }
}

impl fmt::Debug for WasmtimeEngineProviderAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeEngineProviderAsync")
            .field("started", &self.instance.is_some())
            .finish_non_exhaustive()
    }
}

/// A compiled module from which asynchronous providers are made quickly.
#[derive(Clone)]
pub struct WasmtimeEngineProviderAsyncPre {
    compiled: Arc<Compiled>,
}

impl WasmtimeEngineProviderAsyncPre {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled }
    }

    /// A provider of this module, with the builder's deadlines.
    ///
    /// # Errors
    /// None today; the signature is that of wasmtime-provider.
    pub fn rehydrate(&self) -> Result<WasmtimeEngineProviderAsync> {
        Ok(WasmtimeEngineProviderAsync::new(Arc::clone(&self.compiled)))
    }

    /// The same module as a factory.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn EngineProviderFactory> {
        Arc::new(Factory(Arc::clone(&self.compiled)))
    }
}

impl fmt::Debug for WasmtimeEngineProviderAsyncPre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmtimeEngineProviderAsyncPre").finish_non_exhaustive()
    }
}
