//! One instance of a guest in its store: its start, and its calls in either mode.

use std::mem;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Conversation, wapc_functions};
use wasmi::{
    Instance as Wasm, Store, TypedFunc, TypedResumableCall, TypedResumableCallHostTrap,
    TypedResumableCallOutOfFuel, Val, WasmResults,
};

use crate::compiled::Compiled;
use crate::data::{Data, Left, Mark, split};
use crate::fuel::{self, Fuel};
use crate::trap;

/// A started instance.
pub struct Instance {
    store: Store<Data>,
    guest_call: TypedFunc<(i32, i32), i32>,
    way: Way,
    /// What is left of a call that has to wait.
    #[cfg(feature = "async")]
    paused: Option<Paused<i32>>,
}

/// How guest code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// It may be left where it waits for its host.
    pub(crate) suspends: bool,
    /// It gives way to its executor at each tick.
    pub(crate) yields: bool,
}

impl Instance {
    /// Builds a store and an instance and runs the init exports, in the conversation that the host began for it. Without
    /// [`Way::suspends`] and [`Way::yields`] the future never waits.
    ///
    /// # Errors
    /// [`ErrorKind::InitFailed`] with the function that failed, or what the module is refused for.
    ///
    /// # Cancel safety
    /// A dropped start leaves nothing behind but a conversation in which nothing runs.
    pub(crate) async fn start(
        compiled: &Compiled,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        way: Way,
    ) -> Result<Self, Error> {
        // The host has merged them already; a host that sees this provider through a wrapper may not have.
        let limits = conversation.limits().stricter(compiled.limits);
        compiled.info.needs.check(&limits)?;

        let fuel = Fuel::new(compiled.info.code.grows_tables, compiled.fuel(&limits)?);
        let mut data = Data::new(mem::replace(conversation, spare), &limits, fuel);
        data.suspends = way.suspends;
        #[cfg(feature = "wasi")]
        {
            data.wasi = compiled.world.as_ref().map(antiphon_wasi::World::session);
        }
        let mut store = Store::new(&compiled.engine, data);
        store.limiter(|data| &mut data.limiter);
        let mut starting = Starting { store, way };
        let started = starting.run(compiled).await;
        let Starting { mut store, .. } = starting;
        let flushed = store.data_mut().flush_output();
        mem::swap(&mut store.data_mut().conversation, conversation);
        let guest_call = started?;
        flushed?;
        Ok(Self {
            store,
            guest_call,
            way,
            #[cfg(feature = "async")]
            paused: None,
        })
    }

    /// Runs `__guest_call` as far as it gets. Most calls end within their first slice: what wasmi says of the others is
    /// large, and is handed on only for them.
    #[inline(always)]
    fn run(&mut self, conversation: &mut Box<Conversation>) -> Result<Step<i32>, Error> {
        let data = self.store.data_mut();
        mem::swap(&mut data.conversation, conversation);
        data.limiter.growth.forget();
        let lengths = data.conversation.lengths();
        fuel::refill(&mut self.store)?;
        match self.guest_call.call_resumable(&mut self.store, lengths) {
            Ok(TypedResumableCall::Finished(code)) => Ok(Step::Done(code)),
            called => advance(&mut self.store, called, self.way),
        }
    }

    #[inline(always)]
    fn end(
        &mut self,
        conversation: &mut Box<Conversation>,
        returned: Result<i32, Error>,
    ) -> Result<i32, Error> {
        let flushed = self.store.data_mut().flush_output();
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        if conversation.is_metered() {
            let memory = self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store));
            conversation.record_use(memory.try_into().unwrap_or(u64::MAX), fuel::used(&self.store));
        }
        returned.and_then(|code| flushed.map(|()| code))
    }
}

impl antiphon::provider::Instance for Instance {
    #[inline]
    fn call(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        let returned = match self.run(conversation) {
            Ok(Step::Done(code)) => Ok(code),
            Ok(Step::Paused(_)) => Err(cannot_wait()),
            Err(error) => Err(error),
        };
        self.end(conversation, returned)
    }

    #[cfg(feature = "async")]
    #[inline]
    fn call_straight(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, Error>> {
        let returned = match self.run(conversation) {
            Ok(Step::Done(code)) => Ok(code),
            Ok(Step::Paused(paused)) => {
                self.paused = Some(paused);
                mem::swap(&mut self.store.data_mut().conversation, conversation);
                return None;
            }
            Err(error) => Err(error),
        };
        Some(self.end(conversation, returned))
    }

    #[cfg(feature = "async")]
    async fn call_async(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        let step = match self.paused.take() {
            Some(paused) => {
                mem::swap(&mut self.store.data_mut().conversation, conversation);
                Ok(Step::Paused(paused))
            }
            None => self.run(conversation),
        };
        let returned = match step {
            Ok(step) => finish(&mut self.store, step, self.way).await,
            Err(error) => Err(error),
        };
        self.end(conversation, returned)
    }
}

/// What wasmi says of guest code that it ran.
type Called<R> = Result<TypedResumableCall<R>, wasmi::Error>;

/// How far guest code got.
enum Step<R> {
    Done(R),
    Paused(Paused<R>),
}

/// Guest code that was left, and can be resumed.
enum Paused<R> {
    /// A tick passed: it gives way.
    Tick(TypedResumableCallOutOfFuel<R>),
    /// In an import that has to wait; [`Data::left`] says for what.
    Import(TypedResumableCallHostTrap<R>),
}

/// Runs guest code, slice by slice, until it ends, waits, or gives way.
fn advance<R: WasmResults>(
    store: &mut Store<Data>,
    mut called: Called<R>,
    way: Way,
) -> Result<Step<R>, Error> {
    loop {
        called = match called {
            Ok(TypedResumableCall::Finished(results)) => return Ok(Step::Done(results)),
            Ok(TypedResumableCall::OutOfFuel(paused)) => {
                let ticked = fuel::next_slice(store, paused.required_fuel())?;
                if ticked && way.yields {
                    return Ok(Step::Paused(Paused::Tick(paused)));
                }
                paused.resume(&mut *store)
            }
            Ok(TypedResumableCall::HostTrap(paused)) => {
                if matches!(store.data().left, Some(Left::Failed(_)) | None) {
                    return Err(trap::typed(wasmi::Error::host(Mark), store.data_mut()));
                }
                return Ok(Step::Paused(Paused::Import(paused)));
            }
            Err(error) => return Err(trap::typed(error, store.data_mut())),
        };
    }
}

/// Runs the rest of guest code that was left, with waits.
async fn finish<R: WasmResults>(store: &mut Store<Data>, mut step: Step<R>, way: Way) -> Result<R, Error> {
    loop {
        let called = match step {
            Step::Done(results) => return Ok(results),
            Step::Paused(Paused::Tick(paused)) => {
                antiphon::Yield::default().await;
                // Others may have taken their time.
                fuel::look(store.data_mut())?;
                paused.resume(&mut *store)
            }
            Step::Paused(Paused::Import(paused)) => {
                let code = wait(store).await?;
                paused.resume(&mut *store, &[Val::I32(code)])
            }
        };
        step = advance(store, called, way)?;
    }
}

/// Does what the guest waits for, and returns what its import returns.
async fn wait(store: &mut Store<Data>) -> Result<i32, Error> {
    let (memory, data) = split(&mut *store);
    let returned = match data.left.take() {
        #[cfg(feature = "async")]
        Some(Left::HostCall(args)) => data.conversation.host_call_async(memory, args).await,
        #[cfg(feature = "wasi")]
        Some(Left::Poll(abi, wait)) => match data.conversation.sleep(wait.duration()).await {
            Ok(()) => crate::wasi::finish(memory, data, abi, wait),
            Err(error) => Err(error),
        },
        _ => {
            let _ = memory;
            Err(cannot_wait())
        }
    };
    returned.map_err(|error| data.limiter.growth.explain(error))
}

#[cold]
fn cannot_wait() -> Error {
    Error::new(ErrorKind::Engine, "guest code was left that cannot be resumed")
}

/// An instance whose init exports are still to run.
struct Starting {
    store: Store<Data>,
    way: Way,
}

impl Starting {
    async fn run(&mut self, compiled: &Compiled) -> Result<TypedFunc<(i32, i32), i32>, Error> {
        let instance = compiled.instantiate(&mut self.store, self.way.suspends);
        let first = if compiled.info.has_start { "start section" } else { "instantiation" };
        let instance = instance.map_err(|error| self.failed(first, error))?;
        self.store.data_mut().memory = instance.get_memory(&self.store, wapc_functions::MEMORY);
        fuel::refill(&mut self.store)?;
        if let Some(export) = &compiled.start {
            self.run_export(&instance, export, "start section").await?;
        }
        for name in wapc_functions::INIT_EXPORTS {
            self.run_export(&instance, name, name).await?;
        }
        instance
            .get_typed_func(&self.store, wapc_functions::GUEST_CALL)
            .map_err(|error| Error::new(ErrorKind::InvalidModule, error.to_string()).with_source(error))
    }

    async fn run_export(&mut self, instance: &Wasm, export: &str, name: &'static str) -> Result<(), Error> {
        let Ok(func) = instance.get_typed_func::<(), ()>(&self.store, export) else { return Ok(()) };
        let called = func.call_resumable(&mut self.store, ());
        let returned = match advance(&mut self.store, called, self.way) {
            Ok(step) => finish(&mut self.store, step, self.way).await,
            Err(error) => Err(error),
        };
        let Err(error) = returned else { return Ok(()) };
        // A command's `main` ends with an exit (TinyGo from 0.35 on): with code 0 that is success.
        let exited =
            error.exit_code() == Some(0) && name != wapc_functions::WAPC_INIT && name != "start section";
        if exited { Ok(()) } else { Err(Error::init(name, error)) }
    }

    fn failed(&mut self, function: &str, error: wasmi::Error) -> Error {
        Error::init(function, trap::typed(error, self.store.data_mut()))
    }
}
