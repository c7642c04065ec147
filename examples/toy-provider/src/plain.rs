//! A provider that runs its guest without a stop: no deadline, no waiting, no asynchronous mode.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{BoxError, Error, ErrorKind};
use antiphon::wapc_functions as wapc;
use antiphon::{
    Capabilities, Conversation, EngineProviderFactory, HOST_NAMESPACE, Limits, ModuleInfo, ModuleState,
    WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync,
};
use wasmi::{Engine, Linker, Store, TypedFunc};

use crate::compiled::{Compiled, config, supported};
use crate::imports::{Data, Guest, enter, link};
use crate::trap::{not_instantiated, raise, typed};

/// Compiles a module and returns its factory.
///
/// # Errors
/// The module is not a waPC guest.
pub fn factory(module: &[u8], limits: Limits) -> Result<Arc<dyn EngineProviderFactory>, Error> {
    let compiled = Compiled::new(&Engine::new(&config()), module, limits)?;
    Ok(Arc::new(Factory(Arc::new(compiled))))
}

/// An instance with its store.
struct Instance {
    store: Store<Data>,
    guest_call: TypedFunc<(i32, i32), i32>,
}

impl Instance {
    /// Instantiates the module and runs its init exports.
    fn start(compiled: &Compiled, conversation: Box<Conversation>) -> Result<Self, Error> {
        let limits = *conversation.limits();
        let mut store = Store::new(&compiled.engine, Data::new(conversation, &limits));
        store.limiter(|data| &mut data.limits);
        let mut linker = Linker::new(&compiled.engine);
        link(&mut linker).map_err(typed)?;
        let host_call =
            |mut guest: Guest<'_>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32| {
                let (memory, conversation) = enter(&mut guest)?;
                conversation.host_call(memory, [a, b, c, d, e, f, g, h]).map_err(raise)
            };
        linker.func_wrap(HOST_NAMESPACE, wapc::HOST_CALL, host_call).map_err(typed)?;

        let first = if compiled.info.has_start { "start section" } else { "instantiation" };
        let instance = linker
            .instantiate_and_start(&mut store, &compiled.module)
            .map_err(|error| not_instantiated(first, error))?;
        for name in wapc::INIT_EXPORTS {
            if let Ok(export) = instance.get_typed_func::<(), ()>(&store, name) {
                export.call(&mut store, ()).map_err(|error| Error::init(name, typed(error)))?;
            }
        }
        let guest_call = instance.get_typed_func(&store, wapc::GUEST_CALL).map_err(typed)?;
        Ok(Self { store, guest_call })
    }

    /// Runs `__guest_call` with the conversation in the store.
    fn call(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        let lengths = self.store.data().conversation.lengths();
        let returned = self.guest_call.call(&mut self.store, lengths);
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        returned.map_err(typed)
    }
}

/// Runs one instance of a guest.
struct Provider {
    compiled: Arc<Compiled>,
    state: Option<Arc<ModuleState>>,
    instance: Option<Instance>,
}

impl WebAssemblyEngineProvider for Provider {
    fn init(&mut self, state: Arc<ModuleState>) -> Result<(), BoxError> {
        self.instance = None;
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        supported(conversation.limits())?;
        if conversation.limits().deadline_or_default() < Duration::MAX || conversation.has_deadline() {
            return Err(no_deadline().into());
        }
        let mut instance = Instance::start(&self.compiled, conversation)?;
        // The start is over: the conversation goes back to the host.
        let mut conversation = mem::replace(&mut instance.store.data_mut().conversation, state.spare());
        state.exchange(&mut conversation);
        (self.instance, self.state) = (Some(instance), Some(state));
        Ok(())
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        let instance = self.instance.as_mut()?;
        if conversation.has_deadline() {
            return Some(Err(no_deadline().into()));
        }
        Some(instance.call(conversation).map_err(Into::into))
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let state = self.state.clone().ok_or_else(Error::not_started)?;
        let mut conversation = state.spare();
        state.exchange(&mut conversation);
        let returned = self.converse(&mut conversation);
        state.exchange(&mut conversation);
        returned.ok_or_else(Error::not_started)?
    }

    fn replace(&mut self, module: &[u8]) -> Result<(), BoxError> {
        let state = self.state.clone().ok_or_else(Error::not_started)?;
        let compiled = Compiled::new(&self.compiled.engine, module, self.compiled.limits)?;
        let mut next = Self { compiled: Arc::new(compiled), state: None, instance: None };
        next.init(state)?;
        *self = next;
        Ok(())
    }

    fn limits(&self) -> Limits {
        let limits = self.compiled.limits;
        // Drops the default deadlines of two seconds. A deadline that is set stays, so that it is
        // refused.
        limits
            .deadline(limits.deadline.unwrap_or(Duration::MAX))
            .init_deadline(limits.init_deadline.unwrap_or(Duration::MAX))
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(Factory(Arc::clone(&self.compiled))))
    }
}

fn no_deadline() -> Error {
    Error::new(ErrorKind::Unsupported, "this engine cannot end a guest at a deadline")
}

struct Factory(Arc<Compiled>);

impl EngineProviderFactory for Factory {
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
    }

    fn module_info(&self) -> &ModuleInfo {
        &self.0.info
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        Ok(Box::new(Provider { compiled: Arc::clone(&self.0), state: None, instance: None }))
    }

    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError> {
        Err(Error::new(ErrorKind::Unsupported, "this engine has no asynchronous mode").into())
    }

    fn with_module(&self, bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        Ok(Arc::new(Self(Arc::new(Compiled::new(&self.0.engine, bytes, self.0.limits)?))))
    }
}
