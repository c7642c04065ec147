//! Providers and a factory for any engine that takes conversations.
//!
//! How a module is compiled, and how an instance is started and called, is the engine's own. The
//! rest of a provider is equal for every engine, and subtle: a fresh instance after a discarded
//! one, the way through the module state, what a dropped future takes along. It stands here once,
//! generic over the engine's part, so that it costs nothing.
//!
//! An engine that moves a [`Conversation`] into its store implements [`Compiled`] and [`Instance`],
//! and gets [`Provider`], [`ProviderAsync`] and [`Factory`]. The provider traits themselves ask for
//! less.

use std::fmt;
use std::sync::Arc;

use super::discard::discard;
use super::wapc2::ModuleState;
use super::{Capabilities, EngineProviderFactory, WebAssemblyEngineProvider};
use crate::call::{Isolation, block_on};
use crate::conversation::Conversation;
use crate::errors::{BoxError, Error, ErrorKind, Result};
use crate::module::info::ModuleInfo;
use antiphon_protocol::{Limits, names};

#[cfg(feature = "async")]
pub use super::provider_async::{ProviderAsync, boxed};

/// A module that an engine has compiled, with the settings of its instances.
pub trait Compiled: Send + Sync + Sized + 'static {
    /// The type of the instances that it starts.
    type Instance: Instance<Compiled = Self>;

    /// Compiles another module with this engine and these settings.
    ///
    /// # Errors
    /// The module is refused.
    fn compile(&self, bytes: &[u8]) -> Result<Self>;

    /// Returns the limits that its instances were given.
    fn limits(&self) -> Limits;

    /// Returns whether its instances serve more than one call.
    fn isolation(&self) -> Isolation {
        Isolation::Reuse
    }

    /// Returns what the engine can do, as it was set up.
    fn capabilities(&self) -> Capabilities;

    /// Returns what the module says about itself.
    fn info(&self) -> &ModuleInfo;
}

/// The kind of host that an instance is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third kind of host")]
pub enum HostKind {
    /// A [`WapcHost`](crate::WapcHost). Where the guest waits, the thread waits.
    Sync,
    /// A [`WapcHostAsync`](crate::WapcHostAsync).
    Async,
}

/// A started instance. It keeps a spare conversation while no call runs, and swaps it for the
/// call's conversation.
pub trait Instance: Send + Sized {
    /// The compiled module that it is started from.
    type Compiled;

    /// Starts an instance for a host of that kind, and runs its init exports in `conversation`,
    /// which the host has begun for them. The instance keeps `spare` between its calls. When this
    /// returns, `conversation` is the host's again.
    ///
    /// Only an engine whose [`Capabilities::suspend`] is set is asked for an asynchronous host.
    ///
    /// # Errors
    /// The guest does not start.
    ///
    /// # Cancel safety
    /// A dropped start leaves nothing behind but a conversation in which nothing runs.
    fn start(
        compiled: &Self::Compiled,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        host: HostKind,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// Drops the instance, and returns the conversation that it kept, if it can.
    fn into_spare(self) -> Option<Box<Conversation>> {
        None
    }

    /// Runs `__guest_call` as far as it gets without waiting.
    ///
    /// Returns `None` if the call has to wait, or must not run straight. Then
    /// [`call_async`](Self::call_async) begins it, or goes on with it.
    fn call_straight(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32>>;

    /// Runs `__guest_call` to its end for a synchronous host. Where the guest waits, the thread
    /// parks.
    ///
    /// All of it is one function: handing a result through memory from one function to another
    /// costs more than most of the work here.
    ///
    /// # Errors
    /// The guest call did not return.
    #[inline(always)]
    fn call(&mut self, conversation: &mut Box<Conversation>) -> Result<i32> {
        match self.call_straight(conversation) {
            Some(returned) => returned,
            None => parked(self, conversation),
        }
    }

    /// Runs `__guest_call`, or what [`call_straight`](Self::call_straight) left of it, with waits.
    /// For a synchronous host the thread parks while the guest waits. An engine whose guests never
    /// wait does not need it.
    ///
    /// # Errors
    /// The guest call did not return.
    ///
    /// # Cancel safety
    /// A dropped call leaves a conversation in which nothing runs, and its instance is not used
    /// again.
    fn call_async(
        &mut self,
        conversation: &mut Box<Conversation>,
    ) -> impl Future<Output = Result<i32>> + Send {
        let _ = conversation;
        std::future::ready(Err(not_async()))
    }
}

#[cold]
pub(super) fn not_async() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "this build of the engine has no asynchronous mode: turn on its feature `async`",
    )
}

/// Judges how a function of an instance's start ended.
///
/// An exit with code 0 is a success of an init export: the `main` of a command ends with one
/// (TinyGo's from 0.35 on), and `wapc` 2.x accepts one from `wapc_init`. A start section is no
/// export: an exit ends the instantiation that it is a part of, so no instance is left to serve.
///
/// # Errors
/// [`ErrorKind::InitFailed`], which names the function.
pub fn initialized(function: &str, ended: Result<()>) -> Result<()> {
    match ended {
        Err(error) if error.exit_code() == Some(0) && names::INIT_EXPORTS.contains(&function) => Ok(()),
        ended => ended.map_err(|error| Error::init(function, error)),
    }
}

/// Runs one instance for a [`WapcHost`](crate::WapcHost). A clone is a provider of the same module
/// whose instance has not been started.
pub struct Provider<C: Compiled> {
    compiled: Arc<C>,
    state: Option<Arc<ModuleState>>,
    instance: Option<C::Instance>,
    spares: Spares,
}

impl<C: Compiled> Provider<C> {
    /// Creates a provider of a module.
    pub fn new(compiled: Arc<C>) -> Self {
        Self { compiled, state: None, instance: None, spares: Spares::default() }
    }

    fn start(compiled: &C, state: &ModuleState, spares: &mut Spares) -> Result<C::Instance> {
        let mut conversation = spares.start.take().unwrap_or_else(|| state.spare());
        let spare = spares.instance.take().unwrap_or_else(|| state.spare());
        state.exchange(&mut conversation);
        let started = block_on(C::Instance::start(compiled, &mut conversation, spare, HostKind::Sync));
        state.exchange(&mut conversation);
        spares.started(conversation);
        started
    }
}

impl<C: Compiled> WebAssemblyEngineProvider for Provider<C> {
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), BoxError> {
        // The old instance goes first: its memory is not needed to build the next one.
        self.instance = None;
        self.spares.keep_for(self.state.as_ref(), &host);
        self.instance = Some(Self::start(&self.compiled, &host, &mut self.spares)?);
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
        let compiled = self.compiled.compile(bytes)?;
        let next = Self::start(&compiled, state, &mut self.spares)?;
        (self.compiled, self.instance) = (Arc::new(compiled), Some(next));
        Ok(())
    }

    #[inline]
    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        Some(match self.instance.as_mut()?.call(conversation) {
            Ok(code) => Ok(code),
            Err(error) => Err(discard(&mut self.instance, error).into()),
        })
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

/// Runs a call that has to wait, while this thread parks.
#[cold]
fn parked<I: Instance>(instance: &mut I, conversation: &mut Box<Conversation>) -> Result<i32> {
    block_on(instance.call_async(conversation))
}

/// Conversations in which nothing runs, kept from one instance to the next.
#[derive(Default)]
pub(super) struct Spares {
    /// Stays with the host while an instance starts.
    pub(super) start: Option<Box<Conversation>>,
    /// Stays with the instance while no call runs.
    pub(super) instance: Option<Box<Conversation>>,
    /// Whether instances come and go. While one instance stays, no spare is kept for a next one.
    many: bool,
}

impl Spares {
    /// Drops the spares if the provider has a new host: a conversation belongs to its host.
    pub(super) fn keep_for<S>(&mut self, state: Option<&Arc<S>>, host: &Arc<S>) {
        if !state.is_some_and(|state| Arc::ptr_eq(state, host)) {
            (self.start, self.instance) = (None, None);
        }
    }

    /// Takes back the conversation of a start.
    pub(super) fn started(&mut self, start: Box<Conversation>) {
        if self.many {
            self.start = Some(start);
        }
    }

    /// Takes back the spare of an instance that served a single call.
    pub(super) fn discarded(&mut self, spare: Option<Box<Conversation>>) {
        self.many = true;
        self.instance = spare;
    }
}

/// Makes providers of one module, in either mode.
pub struct Factory<C>(pub Arc<C>);

impl<C: Compiled> EngineProviderFactory for Factory<C> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn module_info(&self) -> &ModuleInfo {
        self.0.info()
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        Ok(Box::new(Provider::new(Arc::clone(&self.0))))
    }

    #[cfg(feature = "async")]
    fn provider_async(&self) -> Result<Box<dyn super::WebAssemblyEngineProviderAsync + Send>, BoxError> {
        Ok(Box::new(ProviderAsync::new(Arc::clone(&self.0))))
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        Ok(Arc::new(Self(Arc::new(self.0.compile(bytes)?))))
    }
}

impl<C: Compiled> Clone for Provider<C> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.compiled))
    }
}

impl<C> Clone for Factory<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Compiled> fmt::Debug for Provider<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("started", &self.instance.is_some()).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Factory<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_are_kept_only_where_instances_come_and_go() {
        let state = Arc::new(ModuleState::default());
        let mut spares = Spares::default();
        spares.started(state.spare());
        assert!(spares.start.is_none());
        spares.discarded(Some(state.spare()));
        spares.started(state.spare());
        assert!(spares.start.is_some() && spares.instance.is_some());
        // Spares of another host are dropped.
        spares.keep_for(Some(&state), &Arc::new(ModuleState::default()));
        assert!(spares.start.is_none() && spares.instance.is_none() && spares.many);
    }

    #[test]
    fn an_exit_with_code_0_is_success_of_an_init_export_and_of_nothing_else() {
        let exit = |code| Err(Error::new(ErrorKind::Trapped, "the guest exited").with_exit_code(code));
        for function in ["_initialize", "_start", "wapc_init"] {
            assert!(initialized(function, Ok(())).is_ok());
            assert!(initialized(function, exit(0)).is_ok());
            let error = initialized(function, exit(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InitFailed);
            assert_eq!(error.message(), format!("{function}: the guest exited"));
        }
        assert!(initialized("start section", Ok(())).is_ok());
        assert_eq!(initialized("start section", exit(0)).unwrap_err().kind(), ErrorKind::InitFailed);
    }
}
