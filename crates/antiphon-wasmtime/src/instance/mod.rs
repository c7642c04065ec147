//! One instance of a guest in its store: its start, and its calls in either mode.

mod compiled;
mod data;
mod deadline;
#[cfg_attr(not(feature = "async"), path = "no_fiber.rs")]
mod fiber;
mod imports;
mod limiter;
mod linked;
mod stack;
#[cfg_attr(not(feature = "async"), path = "no_suspending.rs")]
mod suspending;
mod trap;
#[cfg_attr(not(feature = "wasi"), path = "no_wasi.rs")]
mod wasi;

use std::mem;

use antiphon::errors::{Error, ErrorKind};
use antiphon::provider::{self, HostKind};
use antiphon::{Conversation, FuelUse};
use wasmtime::{Extern, Instance as Wasm, ModuleExport, Store, TypedFunc, WasmParams, WasmResults};

pub use self::compiled::Compiled;
use self::data::Data;
use self::fiber::{Fiber, Resident};
use self::linked::Linked;
use crate::engine::{Clock, Ticks, unsupported_deadline};
use crate::options::EpochDeadlines;

/// A started instance.
pub struct Instance(Kind);

enum Kind {
    /// The guest runs on the caller's stack, to the end.
    Straight(Guest),
    /// The guest runs on a stack of its own, which it can leave to wait.
    Fiber(Resident),
}

/// The guest of an instance: its store, and the export that it is called through.
struct Guest {
    store: Store<Data>,
    guest_call: TypedFunc<(i32, i32), i32>,
    /// Whether the guest has epochs, neither epoch ticks nor fuel, and no deeper stack than usual.
    /// One check then replaces four.
    usual: bool,
    /// The stack in bytes that the guest and its host functions may need.
    room: usize,
    /// Whether the guest has no output that would have to be flushed.
    silent: bool,
    /// Whether an epoch has to be armed before guest code runs.
    epochs: bool,
    /// The epoch ticks of a call, if ticks are counted instead of time.
    ticks: Option<Ticks>,
    /// The fuel that each call may burn at most, if the engine counts it.
    fuel: Option<u64>,
}

/// How guest code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// On the caller's stack, to the end.
    Straight,
    /// On a stack of its own, which can be left while the guest waits.
    #[cfg_attr(not(feature = "async"), expect(dead_code, reason = "no guest can be left"))]
    Fiber(Fiber),
}

/// How guest code runs, and in which form of the module.
#[derive(Clone, Copy, Debug)]
struct How {
    mode: Mode,
    /// Whether its imports suspend the guest where they wait.
    suspends: bool,
}

impl How {
    const STRAIGHT: Self = Self { mode: Mode::Straight, suspends: false };

    /// Returns how a guest of that host runs.
    fn of(compiled: &Compiled, host: HostKind, conversation: &Conversation) -> Self {
        match host {
            HostKind::Async => suspending::how(compiled, conversation),
            HostKind::Sync => Self::STRAIGHT,
        }
    }
}

/// An instance that did not start.
struct Unstarted {
    error: Error,
    /// The spare conversation, if there was no room for the instance. No code of the guest has run
    /// then.
    unplaced: Option<Box<Conversation>>,
}

impl From<Error> for Unstarted {
    fn from(error: Error) -> Self {
        Self { error, unplaced: None }
    }
}

impl Instance {
    /// Builds a store and an instance, and runs the init exports. In [`Mode::Straight`] the future
    /// never waits.
    async fn start_on(
        compiled: &Compiled,
        linked: &Linked,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        how: How,
    ) -> Result<Self, Unstarted> {
        // The host has merged these limits already, unless it sees this provider through a wrapper.
        let limits = conversation.limits().stricter(compiled.limits);
        let clock = linked.engine.clock;
        if clock == Clock::Nobody
            && limits.deadline_or_default().min(limits.init_deadline_or_default()) != std::time::Duration::MAX
        {
            return Err(unsupported_deadline().into());
        }
        compiled.info.needs.check(&limits)?;
        linked.engine.check_stack(&limits)?;
        let fuel = compiled.fuel(&limits)?;

        let session = |world| wasi::session(world, &compiled.settings.options);
        let session = compiled.world.as_ref().map(session).transpose()?;
        let mode = how.mode;
        if mode.fiber().is_some() {
            linked.engine.check_fiber()?;
        }
        let mut data = Data::new(mem::replace(conversation, spare), &limits);
        data.fiber = mode.fiber();
        data.wasi = session;
        let mut store = Store::new(&linked.engine.engine, data);
        store.limiter(|data| &mut data.limiter);
        let epochs = clock != Clock::Nobody;
        if epochs {
            store.epoch_deadline_callback(|mut store| store.data_mut().on_tick());
        }
        let ticks = |ticks: fn(&EpochDeadlines) -> u64| {
            compiled.settings.epochs.as_ref().map(|deadlines| Ticks::new(ticks(deadlines), clock))
        };
        // Fuel is set once for the whole start, unlike the epoch: it limits how much work a guest
        // may cause.
        refuel(&mut store, fuel)?;
        let mut starting = Starting {
            store,
            mode,
            epochs,
            ticks: ticks(|deadlines| deadlines.wapc_init),
            fuel,
            unplaced: false,
        };
        let started = starting.run(linked, how.suspends, compiled.info.has_start).await;
        let Starting { mut store, unplaced, .. } = starting;
        let flushed = store.data_mut().flush_output();
        mem::swap(&mut store.data_mut().conversation, conversation);
        let guest_call = match started {
            Ok(guest_call) => guest_call,
            Err(error) => {
                let unplaced = unplaced.then(|| store.into_data().conversation);
                return Err(Unstarted { error, unplaced });
            }
        };
        flushed?;
        let ticks = ticks(|deadlines| deadlines.wapc_func);
        let room = stack::room(&linked.engine.engine);
        let usual = epochs && ticks.is_none() && fuel.is_none() && room <= stack::ROOM;
        let silent = store.data().is_silent();
        let guest = Guest { store, guest_call, usual, room, silent, epochs, ticks, fuel };
        Ok(Self(match mode {
            Mode::Straight => Kind::Straight(guest),
            Mode::Fiber(fiber) => Kind::Fiber(fiber.reside(guest, conversation)),
        }))
    }
}

impl Guest {
    /// Runs `__guest_call` straight.
    #[inline(always)]
    fn run(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        // The epoch stays armed from an earlier call. If ticks have passed since, the guest's first
        // check calls the callback once, which happens at most once a tick; arming would cost
        // something in each call.
        if !self.usual {
            if self.room > stack::ROOM {
                return self.run_deep(conversation);
            }
            self.prepare(conversation)?;
        }
        let lengths = self.begin(conversation);
        let returned = if stack::has_room() {
            self.guest_call.call(&mut self.store, lengths)
        } else {
            stack::make_room(stack::ROOM, || self.guest_call.call(&mut self.store, lengths))
        };
        self.end(conversation, returned)
    }

    /// Runs `__guest_call` straight, with a deeper stack than usual. This is a function of its own,
    /// so that a usual guest pays nothing for the look at another size.
    #[cold]
    fn run_deep(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        self.prepare(conversation)?;
        let lengths = self.begin(conversation);
        let returned = stack::with_room(self.room, || self.guest_call.call(&mut self.store, lengths));
        self.end(conversation, returned)
    }

    #[inline(always)]
    fn begin(&mut self, conversation: &mut Box<Conversation>) -> (i32, i32) {
        let data = self.store.data_mut();
        mem::swap(&mut data.conversation, conversation);
        data.limiter.0.forget();
        data.conversation.lengths()
    }

    /// Prepares what only few guests need before they run.
    #[cold]
    fn prepare(&mut self, conversation: &Conversation) -> Result<(), Error> {
        if self.epochs {
            arm(&mut self.store, self.ticks, conversation);
        } else if conversation.has_deadline() {
            return Err(unsupported_deadline());
        }
        let fuel = self.fuel_of(conversation);
        refuel(&mut self.store, fuel)
    }

    #[inline(always)]
    fn end(
        &mut self,
        conversation: &mut Box<Conversation>,
        returned: wasmtime::Result<i32>,
    ) -> Result<i32, Error> {
        let running = &mut self.store.data_mut().conversation;
        match returned {
            Ok(code) if self.silent && !running.is_metered() => {
                mem::swap(running, conversation);
                Ok(code)
            }
            returned => self.end_unusual(conversation, returned),
        }
    }

    #[inline(never)]
    fn end_unusual(
        &mut self,
        conversation: &mut Box<Conversation>,
        returned: wasmtime::Result<i32>,
    ) -> Result<i32, Error> {
        let flushed = self.store.data_mut().flush_output();
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        if conversation.is_metered() {
            let memory = self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store));
            let fuel = self.fuel_of(conversation).map(|limit| FuelUse {
                burnt: limit.saturating_sub(self.store.get_fuel().unwrap_or(0)),
                limit,
            });
            conversation.record_use(memory.try_into().unwrap_or(u64::MAX), fuel);
        }
        match returned {
            Ok(code) => flushed.map(|()| code),
            Err(error) => {
                let fuel = self.fuel_of(conversation);
                Err(trap::typed(error, &self.store, fuel))
            }
        }
    }

    /// Returns the fuel of a call, if the engine counts it.
    #[inline(always)]
    fn fuel_of(&self, conversation: &Conversation) -> Option<u64> {
        self.fuel.map(|limit| conversation.fuel_within(limit))
    }
}

impl antiphon::provider::Instance for Instance {
    type Compiled = Compiled;

    async fn start(
        compiled: &Compiled,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        host: HostKind,
    ) -> Result<Self, Error> {
        let how = How::of(compiled, host, conversation);
        compiled.place(conversation, spare, how).await
    }

    fn into_spare(self) -> Option<Box<Conversation>> {
        match self.0 {
            Kind::Straight(guest) => Some(guest.store.into_data().conversation),
            Kind::Fiber(resident) => resident.into_spare(),
        }
    }

    #[inline(always)]
    fn call_straight(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, Error>> {
        match &mut self.0 {
            Kind::Straight(guest) => Some(guest.run(conversation)),
            Kind::Fiber(resident) => resident.begin(conversation),
        }
    }

    #[inline(always)]
    fn call(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        match &mut self.0 {
            Kind::Straight(guest) => guest.run(conversation),
            Kind::Fiber(_) => unreachable!("a guest of a synchronous host runs straight"),
        }
    }

    #[cfg(feature = "async")]
    #[inline]
    async fn call_async(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        match &mut self.0 {
            Kind::Straight(guest) => guest.run(conversation),
            Kind::Fiber(resident) => resident.go_on(conversation).await,
        }
    }
}

/// Arms the epoch before any guest code runs. Start-up code runs even without a start function, and
/// an engine with epochs traps at once if none is armed.
#[inline]
fn arm(store: &mut Store<Data>, ticks: Option<Ticks>, conversation: &Conversation) {
    match ticks {
        // One tick, because the callback checks the wall clock at each tick.
        None => store.set_epoch_deadline(1),
        Some(ticks) => {
            let (first, ticks) = ticks.start(conversation);
            store.set_epoch_deadline(first);
            store.data_mut().ticks = Some(ticks);
        }
    }
}

/// Gives guest code its fuel, if the engine counts it. An engine that counts fuel traps at once
/// without any.
#[inline(always)]
fn refuel(store: &mut Store<Data>, fuel: Option<u64>) -> Result<(), Error> {
    match fuel {
        None => Ok(()),
        Some(fuel) => set_fuel(store, fuel),
    }
}

#[inline(never)]
fn set_fuel(store: &mut Store<Data>, fuel: u64) -> Result<(), Error> {
    store
        .set_fuel(fuel)
        .map_err(|error| Error::new(ErrorKind::Engine, "fuel is not counted").with_source(error))
}

/// An instance whose init exports have not run yet.
struct Starting {
    store: Store<Data>,
    mode: Mode,
    epochs: bool,
    ticks: Option<Ticks>,
    fuel: Option<u64>,
    /// Whether it did not start because there was no room for it.
    unplaced: bool,
}

impl Starting {
    async fn run(
        &mut self,
        linked: &Linked,
        suspends: bool,
        has_start: bool,
    ) -> Result<TypedFunc<(i32, i32), i32>, Error> {
        self.arm();
        let (pre, exports) = (linked.form(suspends), &linked.exports);
        let instance = match self.mode {
            Mode::Straight => {
                stack::with_room(stack::room(&linked.engine.engine), || pre.instantiate(&mut self.store))
            }
            Mode::Fiber(fiber) => fiber.instantiate(pre, &mut self.store).await,
        };
        let instance = instance.map_err(|error| {
            self.unplaced = trap::is_want_of_room(&error);
            let error = self.typed(error);
            // A module that the caller compiled does not say whether it has a start section. But of
            // a guest, only that runs code here, can be late, and has frames.
            let started =
                has_start || error.is_deadline() || error.backtrace().is_some_and(|at| !at.is_empty());
            Error::init(if started { "start section" } else { "instantiation" }, error)
        })?;
        let memory = exports.memory.and_then(|memory| instance.get_module_export(&mut self.store, &memory));
        self.store.data_mut().memory = memory.and_then(Extern::into_memory);
        for (name, export) in &exports.init {
            let export = self.function(&instance, export)?;
            self.run_export(&export, name).await?;
        }
        self.function(&instance, &exports.guest_call)
    }

    fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        instance: &Wasm,
        export: &ModuleExport,
    ) -> Result<TypedFunc<P, R>, Error> {
        let function = instance.get_module_export(&mut self.store, export).and_then(Extern::into_func);
        let Some(function) = function else { unreachable!("an instance has the exports of its module") };
        function.typed(&self.store).map_err(|error| self.typed(error))
    }

    async fn run_export(&mut self, export: &TypedFunc<(), ()>, name: &'static str) -> Result<(), Error> {
        self.arm();
        let returned = match self.mode {
            Mode::Straight => {
                stack::with_room(stack::room(self.store.engine()), || export.call(&mut self.store, ()))
            }
            Mode::Fiber(fiber) => fiber.run(export, &mut self.store).await,
        };
        let returned = returned.map_err(|error| self.typed(error));
        provider::initialized(name, returned)
    }

    fn typed(&self, error: wasmtime::Error) -> Error {
        trap::typed(error, &self.store, self.fuel)
    }

    fn arm(&mut self) {
        if self.epochs {
            let ticks = self.ticks.map(|ticks| ticks.start(&self.store.data().conversation));
            self.store.set_epoch_deadline(ticks.map_or(1, |(first, _)| first));
            self.store.data_mut().ticks = ticks.map(|(_, ticks)| ticks);
        }
    }
}

impl Mode {
    fn fiber(self) -> Option<Fiber> {
        match self {
            Self::Straight => None,
            Self::Fiber(fiber) => Some(fiber),
        }
    }
}
