//! What both hosts are made of: the gate, the slot behind it, and the halves of a call around the
//! engine's part.
//!
//! Two invariants hold here. A conversation begins after the engine is held and ends before it is
//! released, so no byte of a call is anywhere that another call can reach. And an instance is used
//! again only after a call that succeeded or ended with [`Fate::Kept`]: the slot is not live while
//! a call runs, so a panic, a dropped future and a trap all lead to the same place. The hosts
//! themselves differ only in their awaits.
//!
//! An idle host is small, because thousands of hosts may wait for a call a day each. It keeps the
//! conversation of its calls, the spare one of the engine's store, and one more where the guest can
//! suspend. The module state has a conversation only while an engine uses it, and the conversation
//! of a start is kept only where instances come and go. Hosts with equal limits share them. A
//! synchronous host on Wasmtime takes 6.6 KiB beside the pages that the guest has written to (the
//! benchmark `idle`).

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use antiphon_protocol::{Limits, Payload};

use super::defaults::default_limits;
use super::gate::{Gate, Inside};
use super::warnings::{warn_if_discarded, warn_of_failed_start};
use crate::call::{Interrupt, Isolation, Link, Meter, Options, Terms, reentrancy, until};
use crate::conversation::{Conversation, Output, Shared};
use crate::engine::EngineProviderFactory;
use crate::engine::wapc2::State;
use crate::errors::{BoxError, Error, ErrorKind, Fate, Phase, Result};
use crate::survive::lock;
use crate::time::ticker::Busy;
use crate::time::{Deadline, ticker};

/// The number of the next host. A callback that several hosts share tells them apart by it.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A host without the calls of its engine. `E` is the engine's trait object, `S` its module state.
pub(super) struct Core<E: ?Sized, S> {
    gate: Arc<Gate<Slot<E, S>>>,
    pub(super) shared: Arc<Shared>,
    /// The time that a call has, as a duration and in ticks, computed once.
    limit: Duration,
    ticks: u64,
    /// Compiles replacements beside the running calls.
    factory: Mutex<Option<Arc<dyn EngineProviderFactory>>>,
}

/// One engine with its instance, held by one call at a time.
pub(super) struct Slot<E: ?Sized, S> {
    pub(super) engine: Box<E>,
    pub(super) state: Arc<S>,
    pub(super) conversation: Box<Conversation>,
    instance: Condition,
    /// Whether an instance serves one call only.
    fresh: bool,
}

/// The condition of an instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// The instance may serve a call.
    Live,
    /// There is no instance, or none that may be used again.
    Gone,
    /// There is no instance that may be used again, and the engine may still write to the state: a
    /// call, a start or a replacement did not return, or failed.
    ///
    /// The slot is in this condition while one of them runs. So one that panics or is dropped
    /// leaves behind an instance that is never used again.
    Tainted,
}

/// What the core asks of a provider of either kind.
pub(super) trait Provided {
    fn limits(&self) -> Limits;
    fn isolation(&self) -> Isolation;
    fn discard(&mut self);
}

macro_rules! provided {
    ($provider:path) => {
        impl Provided for dyn $provider + Send {
            fn limits(&self) -> Limits {
                <Self as $provider>::limits(self)
            }

            fn isolation(&self) -> Isolation {
                <Self as $provider>::isolation(self)
            }

            fn discard(&mut self) {
                <Self as $provider>::discard(self);
            }
        }
    };
}
provided!(crate::engine::WebAssemblyEngineProvider);
#[cfg(feature = "async")]
provided!(crate::engine::WebAssemblyEngineProviderAsync);

impl<E: ?Sized + Provided, S: State> Core<E, S>
where
    Box<E>: Send + 'static,
    S: 'static,
{
    pub(super) fn new(engine: Box<E>, mut shared: Shared) -> Result<Self> {
        shared.id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        shared.limits = common(shared.limits.stricter(engine.limits()).or(default_limits()));
        shared.isolation = shared.isolation.stricter(engine.isolation());
        let shared = Arc::new(shared);
        let gate = Arc::new(Gate::new(Slot::new(engine, &shared)));
        let weak = Arc::downgrade(&gate);
        ticker::watch(weak as Weak<dyn Busy>)?;
        Ok(Self {
            gate,
            limit: shared.limits.deadline_or_default(),
            ticks: ticker::ticks(shared.limits.deadline_or_default()),
            shared,
            factory: Mutex::new(None),
        })
    }

    pub(super) fn id(&self) -> u64 {
        self.shared.id
    }

    pub(super) fn isolation(&self) -> Isolation {
        self.shared.isolation
    }

    pub(super) fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        lock(&self.factory).clone()
    }

    pub(super) fn set_factory(&self, factory: Option<Arc<dyn EngineProviderFactory>>) {
        let factory = mem::replace(&mut *lock(&self.factory), factory);
        // Dropped without the lock, because a factory is foreign code.
        drop(factory);
    }

    fn counts_fuel(&self) -> bool {
        self.factory().is_some_and(|factory| factory.capabilities().fuel)
    }

    /// Enters the gate if it is free.
    #[inline]
    pub(super) fn try_enter(&self) -> Option<Inside<'_, Slot<E, S>>> {
        self.gate.try_enter()
    }

    /// Gives a call the host's deadline, counted from now. A call with options replaces it by terms
    /// of its own later.
    ///
    /// Call this after [`try_enter`](Self::try_enter): the gate has to be busy before the ticker's
    /// clock is read.
    #[inline]
    pub(super) fn set_deadline(&self, slot: &mut Slot<E, S>) {
        let now = ticker::now();
        slot.conversation.set_deadline(now, || Deadline::after(now, self.ticks, self.limit));
    }

    /// Returns the terms of a call that begins now, and its meter if it wants one.
    ///
    /// # Errors
    /// The call has no time left, limits its fuel on an engine that counts none, or is nested too
    /// deep in other calls. An engine decides when it compiles a module whether it counts fuel, so
    /// a limit that comes later is refused instead of ignored.
    pub(super) fn terms(&self, options: Option<Box<Options>>) -> Result<(Terms, Option<Box<Meter>>)> {
        let now = ticker::now();
        let terms = self.shared.standing.by(Deadline::after(now, self.ticks, self.limit));
        match options {
            None => Ok((terms, None)),
            Some(options) => {
                if let Some(caller) = &options.caller {
                    caller.check_depth()?;
                }
                if options.fuel.is_some() && !self.counts_fuel() {
                    let what =
                        "a limit of fuel needs an engine that counts it: set one in the provider's limits";
                    return Err(Error::new(ErrorKind::Unsupported, what).keeping_instance());
                }
                let meter =
                    options.usage.then(|| Box::new(Meter::since(options.begun.map(|begun| begun.at))));
                let terms = Terms::of_request(*options, now, terms);
                if terms.deadline.is_over() {
                    return Err(Error::too_late(terms.deadline.limit, terms.deadline.used()));
                }
                Ok((terms, meter))
            }
        }
    }

    /// Waits for the gate, in order, up to the call's deadline.
    pub(super) async fn queue(&self, terms: &Terms) -> Result<Inside<'_, Slot<E, S>>> {
        self.refuse_reentrancy(terms.behalf().map(Arc::as_ref))?;
        let entered = until(terms, self.gate.enter()).await;
        // Reads the clock again now that the gate is busy: until then nothing kept the ticker
        // awake.
        ticker::now();
        entered.map_err(|interrupt| terms.error(interrupt, Phase::Queue).keeping_instance())
    }

    /// Refuses a replacement by a handler of this host, which would wait for itself.
    pub(super) fn refuse_replacement_from_handler(&self) -> Result<()> {
        if reentrancy::is_running(self.id()) { self.refuse_reentrancy(None) } else { Ok(()) }
    }

    /// Waits for the gate without a deadline, for a replacement. Every call in front of it has one.
    pub(super) async fn queue_for_replacement(&self) -> Result<Inside<'_, Slot<E, S>>> {
        match self.gate.try_enter() {
            Some(slot) => Ok(slot),
            None => {
                self.refuse_reentrancy(None)?;
                Ok(self.gate.enter().await)
            }
        }
    }

    /// Refuses a call by a handler of this host while the host is busy: it would wait for itself.
    fn refuse_reentrancy(&self, behalf: Option<&Link>) -> Result<()> {
        let id = self.id();
        if reentrancy::is_running(id) || behalf.is_some_and(|link| link.waits(id)) {
            return Err(Error::new(
                ErrorKind::Reentrancy,
                "a handler called the host whose guest it answers",
            ));
        }
        Ok(())
    }

    /// Returns the terms of an instance's start.
    pub(super) fn init_terms(&self) -> Terms {
        let limit = self.shared.limits.init_deadline_or_default();
        self.shared.standing.by(Deadline::after(ticker::now(), ticker::ticks(limit), limit))
    }

    /// Returns the terms of a start on the way to a call, which counts against the call's deadline.
    pub(super) fn rebuild_terms(&self, call: &Terms) -> Terms {
        call.at_most(self.init_terms().deadline)
    }

    /// Returns a slot for a replacement that is started beside the running calls.
    pub(super) fn new_slot(&self, engine: Box<E>) -> Slot<E, S> {
        Slot::new(engine, &self.shared)
    }
}

impl<E: ?Sized + Provided, S: State> Slot<E, S> {
    fn new(engine: Box<E>, shared: &Arc<Shared>) -> Self {
        let state = Arc::new(S::create(Arc::clone(shared)));
        let conversation = state.inner().spare();
        let fresh = shared.isolation == Isolation::PerCall;
        Self { engine, state, conversation, instance: Condition::Gone, fresh }
    }

    pub(super) fn is_live(&self) -> bool {
        self.instance == Condition::Live
    }

    /// Prepares the slot for the engine's `init`.
    pub(super) fn begin_init(&mut self, terms: Terms) {
        // Makes a new state: a foreign engine whose call was dropped may still write to the old
        // one.
        if self.instance == Condition::Tainted {
            self.state = Arc::new(S::create(Arc::clone(self.state.inner().shared())));
        }
        self.begin_replace(terms);
    }

    /// Prepares the slot for the engine's `replace`, which knows the state from its `init`.
    pub(super) fn begin_replace(&mut self, terms: Terms) {
        self.instance = Condition::Tainted;
        self.state.inner().begin_init(terms);
    }

    /// Takes the result of the engine's `init`.
    pub(super) fn end_init(&mut self, result: Result<(), BoxError>) -> Result<()> {
        self.state.inner().end_init(self.fresh);
        result.map_err(|error| {
            let error = init_error(error);
            warn_of_failed_start(self.state.inner().shared().id, &error);
            error
        })?;
        self.instance = Condition::Live;
        Ok(())
    }

    /// Discards the instance with `Isolation::PerCall`. Called after every call, whatever its
    /// result, and after the trial start.
    #[inline]
    pub(super) fn retire(&mut self) {
        if self.fresh {
            if self.is_live() {
                self.instance = Condition::Gone;
            }
            self.engine.discard();
        }
    }

    /// Takes the result of the engine's `replace`. A replacement that failed leaves the instance as
    /// it was before `begin_replace`.
    pub(super) fn end_replace(
        &mut self,
        was_live: bool,
        result: Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        self.state.inner().end_init(self.fresh);
        let is_live = result.is_ok() || was_live;
        self.instance = if is_live { Condition::Live } else { Condition::Tainted };
        result
    }

    /// Gives a call its terms.
    ///
    /// # Errors
    /// The call was cancelled before it began.
    pub(super) fn set_terms(&mut self, terms: Terms, meter: Option<Box<Meter>>) -> Result<()> {
        if terms.is_cancelled() {
            return Err(terms.error(Interrupt::Cancelled, Phase::Queue).keeping_instance());
        }
        self.conversation.set_terms(terms, meter);
        Ok(())
    }

    /// Prepares the conversation and the output before the engine's part of a call.
    #[inline(always)]
    pub(super) fn begin_call(
        &mut self,
        operation: &str,
        payload: Payload<'_>,
        output: &mut impl Output,
    ) -> Result<()> {
        self.conversation.begin_call(operation, payload)?;
        self.begun(output);
        Ok(())
    }

    /// Prepares a call like [`begin_call`](Self::begin_call), with a payload that is read [in
    /// place](crate::conversation::payload_in_place).
    #[inline]
    pub(super) fn begin_call_in_place(
        &mut self,
        operation: &str,
        payload: &[u8],
        output: &mut impl Output,
    ) -> Result<()> {
        self.conversation.begin_call_in_place(operation, payload)?;
        self.begun(output);
        Ok(())
    }

    #[inline(always)]
    fn begun(&mut self, output: &mut impl Output) {
        output.prepare(&mut self.conversation);
        self.instance = Condition::Tainted;
    }

    /// Concludes a call whose `__guest_call` returned.
    #[inline(always)]
    pub(super) fn returned(&mut self, code: i32, output: &mut impl Output) -> Result<()> {
        if !self.conversation.is_tidy() {
            return self.returned_untidy(code, output);
        }
        match self.conversation.end_tidy_call(code) {
            Ok(()) => {
                self.instance = Condition::Live;
                output.collect(&mut self.conversation);
                Ok(())
            }
            Err(error) => Err(self.conclude_returned(error, output)),
        }
    }

    /// Concludes a call like [`returned`](Self::returned), and clears what the call left behind.
    #[inline(never)]
    fn returned_untidy(&mut self, code: i32, output: &mut impl Output) -> Result<()> {
        match self.conversation.end_call(code) {
            Ok(()) => {
                self.instance = Condition::Live;
                output.collect(&mut self.conversation);
                self.conversation.release();
                Ok(())
            }
            Err(error) => Err(self.conclude_returned(error, output)),
        }
    }

    #[cold]
    fn conclude_returned(&mut self, error: Error, output: &mut impl Output) -> Error {
        self.instance = Condition::Gone;
        self.conclude(error, output)
    }

    /// Concludes a call whose `__guest_call` did not return.
    #[cold]
    pub(super) fn failed(&mut self, error: BoxError, output: &mut impl Output) -> Result<()> {
        let error = self.conversation.abandon_call(error);
        Err(self.conclude(error, output))
    }

    #[cold]
    fn conclude(&mut self, error: Error, output: &mut impl Output) -> Error {
        // A call that the engine refused before it began has not harmed the instance either.
        if error.fate() != Fate::Discarded {
            self.instance = Condition::Live;
        }
        output.discard(&mut self.conversation);
        warn_if_discarded(self.state.inner().shared().id, self.conversation.operation(), &error);
        let error = error.with_usage(self.conversation.usage(0));
        self.conversation.release();
        error
    }
}

/// Returns the limits of the host made last if they are equal to these, so that both share them. Of
/// thousands of hosts, most have equal limits.
fn common(limits: Limits) -> Arc<Limits> {
    static LAST: Mutex<Weak<Limits>> = Mutex::new(Weak::new());
    let mut last = lock(&LAST);
    if let Some(last) = last.upgrade().filter(|last| **last == limits) {
        return last;
    }
    let limits = Arc::new(limits);
    *last = Arc::downgrade(&limits);
    limits
}

/// Converts the error of a start on the way to a call: where the call's own time ran out, it
/// becomes the call's own error.
pub(super) fn rebuild_error(terms: &Terms, error: Error) -> Error {
    match terms.interrupt() {
        Some(Interrupt::Deadline) if !error.is_deadline() => error,
        Some(interrupt) => terms.error(interrupt, Phase::Rebuild).keeping_instance(),
        None => error,
    }
}

/// Converts the error of a failed start. Engines say which function failed; the text of a foreign
/// engine stays as it is.
pub(super) fn init_error(error: BoxError) -> Error {
    let error = Error::from_engine(error);
    match error.kind() {
        ErrorKind::OutOfResources => error.never_born(),
        ErrorKind::InitFailed | ErrorKind::InvalidModule | ErrorKind::Unsupported => error,
        _ => Error::new(ErrorKind::InitFailed, error.message().to_owned()).with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wapc2::ModuleState;
    use crate::testing::TestEngine;
    use crate::time::ticker::{OnTick, TICK};
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Instant;

    /// Counts the ticks that the ticker makes, which are none while it sleeps.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl OnTick for Count {
        fn on_tick(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn hosts_share_limits_that_are_equal_and_no_others() {
        let limits = Limits::new().name(77);
        let first = common(limits);
        // Another test may make a host at any time.
        let is_shared =
            || Arc::ptr_eq(&first, &common(limits)) || Arc::ptr_eq(&common(limits), &common(limits));
        assert!((0..100).any(|_| is_shared()));
        assert_eq!(*common(limits.name(78)), limits.name(78));
        assert_eq!(*common(limits), limits);
    }

    #[test]
    fn whoever_comes_out_of_the_queue_has_the_ticker_awake() {
        type Engine = dyn crate::WebAssemblyEngineProvider + Send;
        let engine: Box<Engine> = Box::new(TestEngine::new());
        let core = Core::<Engine, ModuleState>::new(engine, Shared::default()).unwrap();
        let count = Arc::new(Count::default());
        ticker::on_each_tick(Arc::downgrade(&count) as _).unwrap();
        let ticks = || count.0.load(Ordering::SeqCst);

        // The terms were made while the ticker was awake. It then went to sleep, since the gate was
        // free.
        let terms = Terms::default();
        let (mut seen, mut since) = (ticks(), Instant::now());
        let patience = Instant::now() + Duration::from_secs(60);
        while since.elapsed() < TICK * 40 {
            assert!(Instant::now() < patience, "the ticker never sleeps");
            thread::sleep(TICK);
            if ticks() != seen {
                (seen, since) = (ticks(), Instant::now());
            }
        }
        let inside = crate::call::block_on(core.queue(&terms)).unwrap();
        thread::sleep(TICK * 40);
        assert!(ticks() > seen, "a call runs beside a ticker that sleeps: nothing ends it");
        drop(inside);
    }
}
