//! A provider whose guests can be interrupted: after each slice of time, and while they wait for
//! their host.

use std::mem;
use std::sync::Arc;

use antiphon::errors::{BoxError, Error, ErrorKind};
use antiphon::wapc_functions as wapc;
use antiphon::{
    BoxFuture, Capabilities, Conversation, EngineProviderFactory, HOST_NAMESPACE, Limits, ModuleInfo,
    ModuleState, ModuleStateAsync, WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync, Yield,
    async_trait, block_on,
};
use wasmi::errors::HostError;
use wasmi::{Engine, Func, Linker, Memory, Module, ResumableCall, Store, Val};

use crate::compiled::{Compiled, config, supported};
use crate::imports::{Data, Guest, link};
use crate::start;
use crate::trap::{not_instantiated, typed};

/// Fuel of a slice, which must be used up in much less than a tick of 5 ms.
const SLICE: u64 = 50_000;

/// The name under which the start section is exported.
const START: &str = "start section";

/// Compiles a module and returns its factory.
///
/// # Errors
/// The module is not a waPC guest.
pub fn factory(module: &[u8], limits: Limits) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    let engine = Engine::new(config().consume_fuel(true));
    Ok(Arc::new(Factory::new(&engine, module, limits)?))
}

/// The error that interrupts a guest in a host call.
#[derive(Debug)]
struct HostCall([i32; 8]);

impl std::fmt::Display for HostCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the guest waits for its host")
    }
}

impl HostError for HostCall {}

/// A function between the guest and the import that interrupts it. If the guest calls such an
/// import by a tail call, wasmi 2.0 resumes it in the wrong place. This function calls the import
/// in the ordinary way.
const SHIM: &str = r#"(module
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (func (export "__host_call") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (call $host (local.get 0) (local.get 1) (local.get 2) (local.get 3)
      (local.get 4) (local.get 5) (local.get 6) (local.get 7))))"#;

/// Replaces the import by the shim's function.
fn shadow_host_call(linker: &mut Linker<Data>, store: &mut Store<Data>) -> Result<(), Error> {
    let (shim, _) = ModuleInfo::load(SHIM.as_bytes(), &Limits::new())?;
    let shim = Module::new(linker.engine(), shim).map_err(typed)?;
    let shim = linker.instantiate_and_start(&mut *store, &shim).map_err(typed)?;
    linker.allow_shadowing(true);
    linker.instance(&mut *store, HOST_NAMESPACE, shim).map_err(typed)?;
    Ok(())
}

/// An instance with its store.
struct Instance {
    store: Store<Data>,
    instance: wasmi::Instance,
    memory: Memory,
    /// Whether it yields to other tasks after each slice.
    yields: bool,
}

impl Instance {
    /// Instantiates the module and runs its start section and init exports.
    async fn start(
        compiled: &Compiled,
        conversation: Box<Conversation>,
        yields: bool,
    ) -> Result<Self, Error> {
        let limits = *conversation.limits();
        supported(&limits)?;
        let mut store = Store::new(&compiled.engine, Data::new(conversation, &limits));
        store.limiter(|data| &mut data.limits);
        let mut linker = Linker::new(&compiled.engine);
        link(&mut linker).map_err(typed)?;
        let host_call = |_: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
            Err::<i32, _>(wasmi::Error::host(HostCall([a, b, c, d, e, f, g, h])))
        };
        linker.func_wrap(HOST_NAMESPACE, wapc::HOST_CALL, host_call).map_err(typed)?;
        shadow_host_call(&mut linker, &mut store)?;

        let instance = linker
            .instantiate_and_start(&mut store, &compiled.module)
            .map_err(|error| not_instantiated("instantiation", error))?;
        let memory = instance
            .get_memory(&store, wapc::MEMORY)
            .ok_or_else(|| Error::new(ErrorKind::InvalidModule, "memory not exported by wasm module"))?;
        let mut started = Self { store, instance, memory, yields };
        let starts = compiled.info.has_start.then_some(START);
        for name in starts.into_iter().chain(wapc::INIT_EXPORTS) {
            if let Some(export) = started.instance.get_func(&started.store, name) {
                started.run(export, &[], &mut []).await.map_err(|error| Error::init(name, error))?;
            }
        }
        Ok(started)
    }

    /// Runs `__guest_call` with the conversation in the store.
    async fn call(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        let (operation, payload) = self.store.data().conversation.lengths();
        let mut code = [Val::I32(0)];
        let returned = match self.instance.get_func(&self.store, wapc::GUEST_CALL) {
            Some(export) => self.run(export, &[Val::I32(operation), Val::I32(payload)], &mut code).await,
            None => Err(Error::new(ErrorKind::InvalidModule, "no __guest_call")),
        };
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        returned.map(|()| code.first().and_then(Val::i32).unwrap_or(0))
    }

    /// Runs guest code to its end, through slices and host calls.
    async fn run(&mut self, function: Func, arguments: &[Val], results: &mut [Val]) -> Result<(), Error> {
        self.conversation().check()?;
        self.store.set_fuel(SLICE).map_err(typed)?;
        let mut call = function.call_resumable(&mut self.store, arguments, results).map_err(typed)?;
        loop {
            let resumed = match call {
                ResumableCall::Finished => return Ok(()),
                ResumableCall::OutOfFuel(paused) => {
                    self.conversation().check()?;
                    if self.yields {
                        Yield::default().await;
                        self.conversation().check()?;
                    }
                    self.store.set_fuel(SLICE.max(paused.required_fuel())).map_err(typed)?;
                    paused.resume(&mut self.store, results)
                }
                ResumableCall::HostTrap(paused) => {
                    let Some(&HostCall(arguments)) = paused.host_error().downcast_ref() else {
                        return Err(typed(paused.into_host_error()));
                    };
                    let (memory, data) = self.memory.data_and_store_mut(&mut self.store);
                    let answered = data.conversation.host_call_async(memory, arguments).await?;
                    paused.resume(&mut self.store, &[Val::I32(answered)], results)
                }
            };
            call = resumed.map_err(typed)?;
        }
    }

    fn conversation(&self) -> &Conversation {
        &self.store.data().conversation
    }
}

/// Runs one instance of a guest, for a host of either kind.
struct Provider<S> {
    factory: Factory,
    state: Option<Arc<S>>,
    instance: Option<Instance>,
}

impl<S> Provider<S> {
    fn new(factory: Factory) -> Self {
        Self { factory, state: None, instance: None }
    }

    /// Runs a call, and keeps the instance if it can be used again.
    ///
    /// # Cancel safety
    /// A dropped future drops the instance, with the conversation in it.
    async fn run(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, BoxError> {
        let mut instance = self.instance.take().ok_or_else(Error::not_started)?;
        let code = instance.call(conversation).await?;
        self.instance = Some(instance);
        Ok(code)
    }
}

impl WebAssemblyEngineProvider for Provider<ModuleState> {
    fn init(&mut self, state: Arc<ModuleState>) -> Result<(), BoxError> {
        self.instance = None;
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let mut instance = block_on(Instance::start(&self.factory.0, conversation, false))?;
        let mut conversation = mem::replace(&mut instance.store.data_mut().conversation, state.spare());
        state.exchange(&mut conversation);
        (self.instance, self.state) = (Some(instance), Some(state));
        Ok(())
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        Some(block_on(self.run(conversation)))
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let state = self.state.clone().ok_or_else(Error::not_started)?;
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let returned = block_on(self.run(&mut conversation));
        state.exchange(&mut conversation);
        returned
    }

    fn replace(&mut self, module: &[u8]) -> Result<(), BoxError> {
        let state = self.state.clone().ok_or_else(Error::not_started)?;
        let mut next = Self::new(self.factory.of(module)?);
        next.init(state)?;
        *self = next;
        Ok(())
    }

    fn limits(&self) -> Limits {
        self.factory.0.limits
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(self.factory.clone()))
    }
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for Provider<ModuleStateAsync> {
    async fn init(&mut self, state: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.instance = None;
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let mut instance = Instance::start(&self.factory.0, conversation, true).await?;
        let mut conversation = mem::replace(&mut instance.store.data_mut().conversation, state.spare());
        state.exchange(&mut conversation);
        (self.instance, self.state) = (Some(instance), Some(state));
        Ok(())
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        Some(Box::pin(self.run(conversation)))
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let state = self.state.clone().ok_or_else(Error::not_started)?;
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let returned = self.run(&mut conversation).await;
        state.exchange(&mut conversation);
        returned
    }

    async fn replace(&mut self, module: &[u8]) -> Result<(), BoxError> {
        let state = self.state.clone().ok_or_else(Error::not_started)?;
        let mut next = Self::new(self.factory.of(module)?);
        next.init(state).await?;
        *self = next;
        Ok(())
    }

    fn limits(&self) -> Limits {
        self.factory.0.limits
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(self.factory.clone()))
    }
}

#[derive(Clone)]
struct Factory(Arc<Compiled>);

impl Factory {
    fn new(engine: &Engine, bytes: &[u8], limits: Limits) -> Result<Self, Error> {
        let compiled = Compiled::changed(engine, bytes, limits, |module| start::exported(module, START))?;
        Ok(Self(Arc::new(compiled)))
    }

    /// Compiles another module with this engine and these settings.
    fn of(&self, bytes: &[u8]) -> Result<Self, Error> {
        Self::new(&self.0.engine, bytes, self.0.limits)
    }
}

impl EngineProviderFactory for Factory {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.deadline = true;
        capabilities.suspend = true;
        capabilities.stack_limit = true;
        capabilities
    }

    fn module_info(&self) -> &ModuleInfo {
        &self.0.info
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        Ok(Box::new(Provider::new(self.clone())))
    }

    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError> {
        Ok(Box::new(Provider::new(self.clone())))
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        Ok(Arc::new(self.of(bytes)?))
    }
}
