//! The asynchronous provider of an engine, made from the engine's own part.

use std::fmt;
use std::sync::Arc;

use antiphon_protocol::Limits;
use async_trait::async_trait;

use super::discard::discard;
use super::provider::{Compiled, Factory, HostKind, Instance, Spares, not_async};
use super::wapc2::ModuleStateAsync;
use super::{EngineProviderFactory, WebAssemblyEngineProviderAsync};
use crate::BoxFuture;
use crate::call::Isolation;
use crate::conversation::Conversation;
use crate::errors::{BoxError, Error, Fate, Result};

/// Runs one instance for a [`WapcHostAsync`](crate::WapcHostAsync). A clone is a provider of the
/// same module whose instance has not been started.
pub struct ProviderAsync<C: Compiled> {
    compiled: Arc<C>,
    state: Option<Arc<ModuleStateAsync>>,
    instance: Option<C::Instance>,
    spares: Spares,
}

impl<C: Compiled> ProviderAsync<C> {
    /// Creates a provider of a module.
    pub fn new(compiled: Arc<C>) -> Self {
        Self { compiled, state: None, instance: None, spares: Spares::default() }
    }

    async fn start(compiled: &C, state: &ModuleStateAsync, spares: &mut Spares) -> Result<C::Instance> {
        if !compiled.capabilities().suspend {
            return Err(not_async());
        }
        let mut conversation = spares.start.take().unwrap_or_else(|| state.spare());
        let spare = spares.instance.take().unwrap_or_else(|| state.spare());
        state.exchange(&mut conversation);
        let started = C::Instance::start(compiled, &mut conversation, spare, HostKind::Async).await;
        state.exchange(&mut conversation);
        spares.started(conversation);
        started
    }
}

#[async_trait]
impl<C: Compiled> WebAssemblyEngineProviderAsync for ProviderAsync<C> {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.instance = None;
        self.spares.keep_for(self.state.as_ref(), &host);
        self.instance = Some(Self::start(&self.compiled, &host, &mut self.spares).await?);
        self.state = Some(host);
        Ok(())
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let Some(state) = self.state.clone() else { return Err(Error::not_started().into()) };
        let running = Running(&mut self.instance);
        let Some(instance) = running.0.as_mut() else { return Err(Error::not_started().into()) };
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let returned = match instance.call_straight(&mut conversation) {
            Some(returned) => returned,
            None => instance.call_async(&mut conversation).await,
        };
        state.exchange(&mut conversation);
        Ok(running.ended(returned)?)
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        let Some(state) = &self.state else { return Err(Error::not_started().into()) };
        let compiled = self.compiled.compile(bytes)?;
        let next = Self::start(&compiled, state, &mut self.spares).await?;
        (self.compiled, self.instance) = (Arc::new(compiled), Some(next));
        Ok(())
    }

    #[inline]
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        Some(match self.instance.as_mut()?.call_straight(conversation)? {
            Ok(code) => Ok(code),
            Err(error) => Err(discard(&mut self.instance, error).into()),
        })
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        self.instance.as_ref()?;
        let running = Running(&mut self.instance);
        Some(Box::into_pin(boxed(|| async move {
            let Some(instance) = running.0.as_mut() else { return Err(Error::not_started().into()) };
            let returned = instance.call_async(conversation).await;
            Ok(running.ended(returned)?)
        })))
    }

    fn limits(&self) -> Limits {
        self.compiled.limits()
    }

    fn isolation(&self) -> Isolation {
        self.compiled.isolation()
    }

    fn discard(&mut self) {
        self.spares.discarded(self.instance.take().and_then(Instance::into_spare));
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(Factory(Arc::clone(&self.compiled))))
    }
}

/// Makes a future in its box. The futures of guest calls are large, and copying one into a box
/// costs more than making it.
#[inline(always)]
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Box<F> {
    let memory = Box::new_uninit();
    Box::write(memory, make())
}

/// The instance of a running call. A future that is dropped drops the instance with its memory.
struct Running<'a, I>(&'a mut Option<I>);

impl<I> Running<'_, I> {
    #[inline]
    fn ended(self, returned: Result<i32>) -> Result<i32> {
        match returned {
            Err(error) if error.fate() == Fate::Discarded => Err(error),
            returned => {
                std::mem::forget(self);
                returned
            }
        }
    }
}

impl<I> Drop for Running<'_, I> {
    fn drop(&mut self) {
        *self.0 = None;
    }
}

impl<C: Compiled> Clone for ProviderAsync<C> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.compiled))
    }
}

impl<C: Compiled> fmt::Debug for ProviderAsync<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderAsync").field("started", &self.instance.is_some()).finish_non_exhaustive()
    }
}
