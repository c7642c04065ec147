//! One instance of a guest in its store: its start, and its calls in either mode.

use std::mem;

use antiphon::errors::{Error, ErrorKind};
use antiphon::provider::{self, HostKind};
use antiphon::{Conversation, wapc_functions};
use wasmtime::{Instance as Wasm, InstancePre, Store, TypedFunc};

use crate::compiled::Compiled;
use crate::data::Data;
use crate::engine::{Clock, unsupported_deadline};
use crate::options::EpochDeadlines;
use crate::ticks::Ticks;
use crate::{stack, trap};

/// A started instance.
pub struct Instance {
    store: Store<Data>,
    guest_call: TypedFunc<(i32, i32), i32>,
    mode: Mode,
    /// Whether an epoch has to be armed before guest code runs.
    epochs: bool,
    /// Ticks of a call, where they are counted instead of the time.
    ticks: Option<Ticks>,
    /// The fuel of each call, where the engine counts it.
    fuel: Option<u64>,
}

/// How guest code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On the caller's stack, to the end.
    Straight,
    /// On a stack of its own, which can be left while the guest waits; with `yields`, at each tick too.
    #[cfg(any(feature = "async", feature = "wasi-fs"))]
    Fiber { yields: bool },
}

impl Instance {
    /// Builds a store and an instance and runs the init exports. In [`Mode::Straight`] the future never waits.
    async fn start_in(
        compiled: &Compiled,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        how: (Mode, &InstancePre<Data>),
    ) -> Result<Self, Error> {
        // The host has merged them already; a host that sees this provider through a wrapper may not have.
        let limits = conversation.limits().stricter(compiled.limits);
        let clock = compiled.engine.clock;
        if clock == Clock::Nobody && limits.deadline().min(limits.init_deadline()) != std::time::Duration::MAX
        {
            return Err(unsupported_deadline());
        }
        compiled.info.needs.check(&limits)?;
        let fuel = compiled.fuel(&limits)?;

        let (mode, pre) = how;
        let mut data = Data::new(mem::replace(conversation, spare), &limits);
        data.yields = mode.yields();
        #[cfg(feature = "wasi")]
        {
            data.wasi = compiled.world.as_ref().map(antiphon_wasi::World::session);
        }
        #[cfg(feature = "wasi-fs")]
        if compiled.has_directories() {
            data.fs = Some(crate::wasi_fs::Fs::new(&compiled.settings.options)?);
        }
        let mut store = Store::new(&compiled.engine.engine, data);
        store.limiter(|data| &mut data.limiter);
        let epochs = clock != Clock::Nobody;
        if epochs {
            store.epoch_deadline_callback(|mut store| store.data_mut().on_tick());
        }
        let ticks = |ticks: fn(&EpochDeadlines) -> u64| {
            compiled.settings.epochs.as_ref().map(|deadlines| Ticks::new(ticks(deadlines), clock))
        };
        // Once for the whole of a start, unlike the epoch.
        refuel(&mut store, fuel)?;
        let mut starting =
            Starting { store, mode, epochs, ticks: ticks(|deadlines| deadlines.wapc_init), fuel };
        let started = starting.run(pre, compiled.info.has_start).await;
        let Starting { mut store, .. } = starting;
        let flushed = store.data_mut().flush_output();
        mem::swap(&mut store.data_mut().conversation, conversation);
        let guest_call = started?;
        flushed?;
        Ok(Self { store, guest_call, mode, epochs, ticks: ticks(|deadlines| deadlines.wapc_func), fuel })
    }

    /// Runs `__guest_call` of a guest with directories.
    #[cfg(feature = "wasi-fs")]
    async fn run_watched(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        let watch = conversation.watch();
        match watch.over(self.run_on_fiber(conversation)).await {
            Ok(returned) => returned,
            // What the guest wrote goes to the log although its call was dropped in the middle.
            Err(error) => self.store.data_mut().flush_output().and(Err(error)),
        }
    }

    /// Runs `__guest_call` straight.
    #[inline]
    fn run(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        let lengths = self.begin(conversation)?;
        let returned = if stack::has_room() {
            self.guest_call.call(&mut self.store, lengths)
        } else {
            stack::make_room(|| self.guest_call.call(&mut self.store, lengths))
        };
        self.end(conversation, returned)
    }

    /// Runs `__guest_call` on a fiber.
    ///
    /// # Cancel safety
    /// A dropped call leaves a conversation in which nothing runs; the instance must not be used again.
    #[cfg(any(feature = "async", feature = "wasi-fs"))]
    #[inline]
    async fn run_on_fiber(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        let lengths = self.begin(conversation)?;
        self.store.data_mut().yielded = false;
        let returned = stack::on_fiber(self.guest_call.call_async(&mut self.store, lengths)).await;
        self.end(conversation, returned)
    }

    #[inline(always)]
    fn begin(&mut self, conversation: &mut Box<Conversation>) -> Result<(i32, i32), Error> {
        if self.epochs {
            arm(&mut self.store, self.ticks, conversation);
        } else if conversation.has_deadline() {
            return Err(unsupported_deadline());
        }
        refuel(&mut self.store, self.fuel)?;
        let data = self.store.data_mut();
        mem::swap(&mut data.conversation, conversation);
        data.limiter.0.forget();
        Ok(data.conversation.lengths())
    }

    #[inline(always)]
    fn end(
        &mut self,
        conversation: &mut Box<Conversation>,
        returned: wasmtime::Result<i32>,
    ) -> Result<i32, Error> {
        let flushed = self.store.data_mut().flush_output();
        mem::swap(&mut self.store.data_mut().conversation, conversation);
        if conversation.is_metered() {
            let memory = self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store));
            let burnt = self.fuel.map(|fuel| fuel.saturating_sub(self.store.get_fuel().unwrap_or(0)));
            conversation.record_use(memory.try_into().unwrap_or(u64::MAX), burnt);
        }
        match returned {
            Ok(code) => flushed.map(|()| code),
            Err(error) => Err(trap::typed(error, &self.store.data().limiter.0, self.fuel)),
        }
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
        let how = compiled.how(host, conversation);
        // Files are waited for outside the conversation, so the deadline is kept around them.
        #[cfg(feature = "wasi-fs")]
        if compiled.has_directories() {
            let watch = conversation.watch();
            let start = Self::start_in(compiled, conversation, spare, how);
            return watch.over(start).await.unwrap_or_else(|error| Err(Error::init("instance", error)));
        }
        Self::start_in(compiled, conversation, spare, how).await
    }

    #[inline]
    fn call_straight(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, Error>> {
        (self.mode == Mode::Straight).then(|| self.run(conversation))
    }

    #[cfg(any(feature = "async", feature = "wasi-fs"))]
    #[inline]
    async fn call_async(&mut self, conversation: &mut Box<Conversation>) -> Result<i32, Error> {
        #[cfg(feature = "wasi-fs")]
        if self.store.data().fs.is_some() {
            return self.run_watched(conversation).await;
        }
        self.run_on_fiber(conversation).await
    }
}

/// Arms the epoch before guest code runs, whichever it is: start-up code runs even without a start function, and an
/// engine with epochs traps at once where none is armed.
#[inline]
fn arm(store: &mut Store<Data>, ticks: Option<Ticks>, conversation: &Conversation) {
    match ticks {
        // One tick: the callback looks at the wall clock at each.
        None => store.set_epoch_deadline(1),
        Some(ticks) => {
            let (first, ticks) = ticks.start(conversation);
            store.set_epoch_deadline(first);
            store.data_mut().ticks = Some(ticks);
        }
    }
}

/// Gives guest code its fuel, where it is counted: an engine that counts it traps at once without any.
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

/// An instance whose init exports are still to run.
struct Starting {
    store: Store<Data>,
    mode: Mode,
    epochs: bool,
    ticks: Option<Ticks>,
    fuel: Option<u64>,
}

impl Starting {
    async fn run(
        &mut self,
        pre: &InstancePre<Data>,
        has_start: bool,
    ) -> Result<TypedFunc<(i32, i32), i32>, Error> {
        self.arm();
        let instance = match self.mode {
            Mode::Straight => stack::with_room(|| pre.instantiate(&mut self.store)),
            #[cfg(any(feature = "async", feature = "wasi-fs"))]
            Mode::Fiber { .. } => stack::on_fiber(pre.instantiate_async(&mut self.store)).await,
        };
        let first = if has_start { "start section" } else { "instantiation" };
        let instance = instance.map_err(|error| Error::init(first, self.typed(error)))?;
        self.store.data_mut().memory = instance.get_memory(&mut self.store, wapc_functions::MEMORY);
        for name in wapc_functions::INIT_EXPORTS {
            self.run_export(&instance, name).await?;
        }
        instance
            .get_typed_func(&mut self.store, wapc_functions::GUEST_CALL)
            .map_err(|error| self.typed(error))
    }

    async fn run_export(&mut self, instance: &Wasm, name: &'static str) -> Result<(), Error> {
        let Ok(export) = instance.get_typed_func::<(), ()>(&mut self.store, name) else { return Ok(()) };
        self.arm();
        let returned = match self.mode {
            Mode::Straight => stack::with_room(|| export.call(&mut self.store, ())),
            #[cfg(any(feature = "async", feature = "wasi-fs"))]
            Mode::Fiber { .. } => stack::on_fiber(export.call_async(&mut self.store, ())).await,
        };
        let returned = returned.map_err(|error| self.typed(error));
        provider::initialized(name, returned)
    }

    fn typed(&self, error: wasmtime::Error) -> Error {
        trap::typed(error, &self.store.data().limiter.0, self.fuel)
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
    fn yields(self) -> bool {
        match self {
            Self::Straight => false,
            #[cfg(any(feature = "async", feature = "wasi-fs"))]
            Self::Fiber { yields } => yields,
        }
    }
}
