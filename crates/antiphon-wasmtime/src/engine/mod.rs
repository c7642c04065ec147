//! The Wasmtime engine and who ticks it.

mod pooling;
mod system_info;
mod ticks;

use std::sync::{Arc, Weak};

use antiphon::Limits;
use antiphon::errors::{Error, ErrorKind};
use antiphon::ticker::{self, OnTick};
use wasmtime::{Config, Engine, EngineWeak, WasmFeatures};

pub(crate) use self::pooling::Pool;
pub(crate) use self::ticks::Ticks;

/// An engine, with whatever ends its guests in time.
#[derive(Clone)]
pub(crate) struct Clocked {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    /// Ticks the engine for as long as anybody uses it.
    _ticking: Option<Arc<Ticking>>,
    /// The pool that its instances come from, if any.
    pub(crate) pool: Option<Arc<Pool>>,
}

/// Who moves the epoch of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Antiphon's ticker: we made the engine.
    Ours,
    /// Whoever gave us the engine.
    Theirs,
    /// Nobody: the engine was made without epoch interruption, by its owner or because the builder was told so, and nothing ends a guest that loops.
    Nobody,
}

/// Holds the engine weakly: the ticker must not keep an engine alive.
struct Ticking(EngineWeak);

impl OnTick for Ticking {
    fn on_tick(&self) {
        if let Some(engine) = self.0.upgrade() {
            engine.increment_epoch();
        }
    }
}

impl Clocked {
    /// An engine of ours.
    pub(crate) fn new(config: &Config) -> Result<Self, crate::errors::Error> {
        let engine = Engine::new(config)?;
        if !engine.get_epoch_interruption() {
            return Ok(Self::given(&engine));
        }
        let ticking = Arc::new(Ticking(engine.weak()));
        ticker::on_each_tick(Arc::downgrade(&ticking) as Weak<dyn OnTick>).map_err(Error::from)?;
        Ok(Self { engine, clock: Clock::Ours, _ticking: Some(ticking), pool: None })
    }

    /// An engine that the caller made, and ticks.
    pub(crate) fn given(engine: &Engine) -> Self {
        let clock = if engine.get_epoch_interruption() { Clock::Theirs } else { Clock::Nobody };
        Self { engine: engine.clone(), clock, _ticking: None, pool: None }
    }

    /// The same with a pool behind it.
    fn with_pool(self, pool: Pool) -> Self {
        Self { pool: Some(Arc::new(pool)), ..self }
    }

    pub(crate) fn counts_fuel(&self) -> bool {
        self.engine.get_consume_fuel()
    }

    /// Refuses a limit of fuel on an engine that counts none.
    pub(crate) fn check_fuel(&self, limits: &Limits) -> Result<(), Error> {
        if limits.fuel() == u64::MAX || self.counts_fuel() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "a limit of fuel needs an engine that counts it: set the limit on the builder, or \
             `Config::consume_fuel(true)` on an engine of your own",
        ))
    }
}

/// The settings of our own engines: the features of every Antiphon engine, and interruption by epochs.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // What the system's unwinder reads, which no trap, backtrace of a guest or panic of a handler needs: a seventeenth of all
    // code, and each module is registered with the unwinder when it is loaded. Windows asks for it.
    if cfg!(not(windows)) {
        config.native_unwind_info(false);
    }

    // On, here as in every other engine: what compilers emit today and all engines run alike.
    config.wasm_tail_call(true);
    // Off: nobody's guests need them, and each is one more thing to get wrong.
    for feature in [
        WasmFeatures::THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::MULTI_MEMORY,
        WasmFeatures::EXCEPTIONS,
        WasmFeatures::LEGACY_EXCEPTIONS,
        WasmFeatures::GC,
        WasmFeatures::FUNCTION_REFERENCES,
        WasmFeatures::RELAXED_SIMD,
        WasmFeatures::CUSTOM_PAGE_SIZES,
        WasmFeatures::WIDE_ARITHMETIC,
        WasmFeatures::STACK_SWITCHING,
        WasmFeatures::SHARED_EVERYTHING_THREADS,
    ] {
        config.wasm_features(feature, false);
    }
    config
}

/// Makes each run of a guest like the one before, whatever machine it is on. Comes after the settings of the caller's,
/// which must not take it back.
pub(crate) fn make_deterministic(config: &mut Config) {
    config.consume_fuel(true);
    config.cranelift_nan_canonicalization(true);
    // Threads can wait by the clock, and relaxed instructions differ from one processor to the next.
    for feature in
        [WasmFeatures::RELAXED_SIMD, WasmFeatures::THREADS, WasmFeatures::SHARED_EVERYTHING_THREADS]
    {
        config.wasm_features(feature, false);
    }
}

/// Refuses a deadline that nobody could keep.
pub(crate) fn unsupported_deadline() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "a deadline needs an engine with epoch interruption: set `Config::epoch_interruption(true)` on an engine of your \
         own, and leave `dangerously_without_interruption` out",
    )
}
