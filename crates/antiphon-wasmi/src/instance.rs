//! One instance of a guest in its store: its start, and its calls in either mode.

use std::mem;

use antiphon::errors::{Error, ErrorKind};
use antiphon::growth::Growth;
use antiphon::provider::{Compiled as _, HostKind, initialized};
use antiphon::{Conversation, wapc_functions};
use wasmi::{
    Store, TypedFunc, TypedResumableCall, TypedResumableCallHostTrap, TypedResumableCallOutOfFuel, Val,
    WasmResults,
};

use crate::compiled::Compiled;
use crate::data::{Data, Left, Mark, split};
use crate::fuel::{self, Fuel};
use crate::limiter::Limiter;
use crate::{trap, wasi};

type Result<T, E = Error> = std::result::Result<T, E>;

/// A started instance.
pub struct Instance {
    store: Store<Data>,
    guest_call: TypedFunc<(i32, i32), i32>,
    /// The rest of a call that has to wait.
    paused: Option<Step<i32>>,
}

impl Instance {
    /// Begins `__guest_call`, and runs its first slice.
    #[inline(always)]
    fn run(&mut self, conversation: &mut Box<Conversation>) -> Called<i32> {
        let data = self.store.data_mut();
        mem::swap(&mut data.conversation, conversation);
        data.limiter.growth.forget();
        let lengths = data.conversation.lengths();
        fuel::refill(&mut self.store)?;
        self.guest_call.call_resumable(&mut self.store, lengths)
    }

    /// Continues a call that did not end within its first slice. Most calls do end there.
    #[inline(never)]
    fn go_on(&mut self, conversation: &mut Box<Conversation>, called: Called<i32>) -> Option<Result<i32>> {
        let returned = match advance(called, &mut self.store) {
            Ok(Step::Done(code)) => Ok(code),
            Ok(paused) => {
                self.paused = Some(paused);
                mem::swap(&mut self.store.data_mut().conversation, conversation);
                return None;
            }
            Err(error) => Err(error),
        };
        Some(self.end(conversation, returned))
    }

    #[inline(always)]
    fn end(&mut self, conversation: &mut Box<Conversation>, returned: Result<i32>) -> Result<i32> {
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
    type Compiled = Compiled;

    /// Starts the instance. For a synchronous host the future never waits.
    async fn start(
        compiled: &Compiled,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        host: HostKind,
    ) -> Result<Self> {
        // The host has merged these limits already, unless it sees this provider through a wrapper.
        let limits = conversation.limits().stricter(compiled.limits());
        compiled.info.needs.check(&limits)?;
        compiled.check_stack(&limits)?;
        let fuel = Fuel::new(compiled.info.code.grows_tables, compiled.fuel(&limits)?);
        let session =
            compiled.world.as_ref().map(|world| antiphon_wasi::host::session(world, &compiled.options));
        let session = session.transpose()?;
        let data = Data {
            conversation: mem::replace(conversation, spare),
            memory: None,
            limiter: Limiter { growth: Growth::new(&limits), starved_in_table_grow: false },
            stack: compiled.stack(),
            fuel,
            suspends: host == HostKind::Async,
            yields: host == HostKind::Async && compiled.options.cooperative,
            left: None,
            wasi: session,
        };
        let mut store = Store::new(&compiled.engine, data);
        store.limiter(|data| &mut data.limiter);
        let started = init(&mut store, compiled).await;
        let flushed = store.data_mut().flush_output();
        mem::swap(&mut store.data_mut().conversation, conversation);
        let guest_call = started?;
        flushed?;
        Ok(Self { store, guest_call, paused: None })
    }

    fn into_spare(self) -> Option<Box<Conversation>> {
        Some(self.store.into_data().conversation)
    }

    #[inline(always)]
    fn call_straight(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32>> {
        if self.paused.is_some() {
            return Some(Err(left_in_the_middle()));
        }
        match self.run(conversation) {
            Ok(TypedResumableCall::Finished(code)) => Some(self.end(conversation, Ok(code))),
            called => self.go_on(conversation, called),
        }
    }

    async fn call_async(&mut self, conversation: &mut Box<Conversation>) -> Result<i32> {
        let step = match self.paused.take() {
            Some(paused) => {
                mem::swap(&mut self.store.data_mut().conversation, conversation);
                Ok(paused)
            }
            None => advance(self.run(conversation), &mut self.store),
        };
        let returned = finish(&mut self.store, step).await;
        self.end(conversation, returned)
    }
}

#[cold]
fn left_in_the_middle() -> Error {
    let what = "a call that waits was not continued: the instance has to be started again";
    Error::new(ErrorKind::Engine, what)
}

/// What wasmi returns for guest code that it ran.
type Called<R> = Result<TypedResumableCall<R>, wasmi::Error>;

/// How far guest code got.
enum Step<R> {
    Done(R),
    /// It was suspended at a tick, and yields before it is resumed.
    Tick(TypedResumableCallOutOfFuel<R>),
    /// It was suspended in an import that has to wait; [`Data::left`] says for what.
    Import(TypedResumableCallHostTrap<R>),
}

/// Runs guest code slice by slice, until it ends, waits, or yields.
fn advance<R: WasmResults>(mut called: Called<R>, store: &mut Store<Data>) -> Result<Step<R>> {
    loop {
        called = match called {
            Ok(TypedResumableCall::Finished(results)) => return Ok(Step::Done(results)),
            Ok(TypedResumableCall::OutOfFuel(paused)) => {
                let ticked = fuel::next_slice(store, paused.required_fuel())?;
                if ticked && store.data().yields {
                    return Ok(Step::Tick(paused));
                }
                paused.resume(&mut *store)
            }
            Ok(TypedResumableCall::HostTrap(paused)) => {
                if matches!(store.data().left, Some(Left::Failed(_)) | None) {
                    return Err(trap::typed(wasmi::Error::host(Mark), store.data_mut()));
                }
                return Ok(Step::Import(paused));
            }
            Err(error) => return Err(trap::typed(error, store.data_mut())),
        };
    }
}

/// Runs guest code from this step to its end, with its waits.
async fn finish<R: WasmResults>(store: &mut Store<Data>, mut step: Result<Step<R>>) -> Result<R> {
    loop {
        let called = match step? {
            Step::Done(results) => return Ok(results),
            Step::Tick(paused) => {
                antiphon::Yield::default().await;
                // Other tasks may have run for long.
                fuel::look(store.data_mut())?;
                paused.resume(&mut *store)
            }
            Step::Import(paused) => {
                let code = wait(store).await?;
                paused.resume(&mut *store, &[Val::I32(code)])
            }
        };
        step = advance(called, store);
    }
}

/// Does what the guest waits for, and returns what its import returns.
async fn wait(store: &mut Store<Data>) -> Result<i32> {
    let (memory, data) = split(&mut *store);
    let returned = match data.left.take() {
        Some(Left::HostCall(args)) => data.conversation.host_call_async(memory, args).await,
        Some(Left::Poll(abi, wait)) => wasi::guest(data, memory, abi).wait(wait).await,
        Some(Left::Failed(error)) => Err(error),
        None => Err(Error::new(ErrorKind::Engine, "guest code was left that cannot be resumed")),
    };
    returned.map_err(|error| data.limiter.growth.explain(error))
}

/// Instantiates the module and runs its init exports, with its start section first.
async fn init(store: &mut Store<Data>, compiled: &Compiled) -> Result<TypedFunc<(i32, i32), i32>> {
    const START: &str = "start section";

    let instance = compiled.instantiate(store).map_err(|error| {
        let first = if compiled.info.has_start { START } else { "instantiation" };
        Error::init(first, trap::typed(error, store.data_mut()))
    })?;
    store.data_mut().memory = instance.get_memory(&*store, wapc_functions::MEMORY);
    fuel::refill(store).map_err(fuel::not_counted)?;
    let start = compiled.start.iter().map(|export| (export.as_str(), START));
    for (export, name) in start.chain(wapc_functions::INIT_EXPORTS.map(|name| (name, name))) {
        let Ok(func) = instance.get_typed_func::<(), ()>(&*store, export) else { continue };
        let called = func.call_resumable(&mut *store, ());
        let step = advance(called, store);
        initialized(name, finish(store, step).await)?;
    }
    let guest_call = instance.get_typed_func(&*store, wapc_functions::GUEST_CALL);
    guest_call.map_err(|error| trap::typed(error, store.data_mut()))
}
