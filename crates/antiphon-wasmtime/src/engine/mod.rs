//! The Wasmtime engine, and what advances its epochs.

mod epoch_deadlines;
mod pooling;
mod recipe;
mod shortage;
mod stack;
mod system_info;

use std::sync::{Arc, Weak};

use antiphon::errors::{Error, ErrorKind};
use antiphon::ticker::{self, OnTick};
use antiphon::{Limits, default_limits};
use wasmtime::{Config, Engine, EngineWeak, WasmFeatures};

pub(crate) use self::epoch_deadlines::Ticks;
use self::pooling::Pool;
pub(crate) use self::recipe::{Recipe, shared};
#[cfg(feature = "cache")]
pub(crate) use self::shortage::lacked_by;
pub(crate) use self::shortage::{lacked, shortage};
pub(crate) use self::stack::HOST;

/// An engine, with what ends its guests in time.
#[derive(Clone)]
pub(crate) struct Clocked {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    /// Ticks the engine as long as it is used.
    ticking: Option<Arc<Ticking>>,
    /// The pool that its instances come from, if any.
    pub(crate) pool: Option<Arc<Pool>>,
}

/// The party that advances the epoch of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Antiphon's ticker, because we made the engine.
    Ours,
    /// The owner of the engine, which was given to us.
    Theirs,
    /// No party. The engine has no epoch interruption, because its owner made it so or the builder
    /// was told so. Nothing ends a guest that loops.
    Nobody,
}

/// Holds the engine weakly, because the ticker must not keep an engine alive.
struct Ticking(EngineWeak);

impl OnTick for Ticking {
    fn on_tick(&self) {
        if let Some(engine) = self.0.upgrade() {
            engine.increment_epoch();
        }
    }
}

impl Clocked {
    /// Makes an engine of ours, ticked by Antiphon's ticker.
    pub(crate) fn new(config: &Config) -> Result<Self, crate::errors::Error> {
        let engine = Engine::new(config)?;
        if !engine.get_epoch_interruption() {
            return Ok(Self::given(&engine));
        }
        let ticking = Arc::new(Ticking(engine.weak()));
        ticker::on_each_tick(Arc::downgrade(&ticking) as Weak<dyn OnTick>)?;
        Ok(Self { engine, clock: Clock::Ours, ticking: Some(ticking), pool: None })
    }

    /// Wraps an engine that the caller made and ticks.
    pub(crate) fn given(engine: &Engine) -> Self {
        let clock = if engine.get_epoch_interruption() { Clock::Theirs } else { Clock::Nobody };
        Self { engine: engine.clone(), clock, ticking: None, pool: None }
    }

    /// Returns this engine with a pool behind it.
    fn with_pool(self, pool: Pool) -> Self {
        Self { pool: Some(Arc::new(pool)), ..self }
    }

    pub(crate) fn counts_fuel(&self) -> bool {
        self.engine.get_consume_fuel()
    }

    /// Refuses a limit of fuel if the engine counts no fuel.
    pub(crate) fn check_fuel(&self, limits: &Limits) -> Result<(), Error> {
        if limits.fuel_or_default() == u64::MAX || self.counts_fuel() {
            return Ok(());
        }
        // A default that cannot be kept is refused too: a program that bounds all of its guests by
        // fuel would otherwise run one without a bound.
        let whose = if limits.fuel == default_limits().fuel { "the process's default" } else { "a" };
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{whose} limit of fuel needs an engine that counts it: set the limit on the builder, or \
                 `Config::consume_fuel(true)` on an engine of your own"
            ),
        ))
    }
}

/// Returns the settings of our own engines: the features of every Antiphon engine, and interruption
/// by epochs. Each memory reserves so much address space, in bytes, or what Wasmtime gives it.
pub(crate) fn config(reservation: Option<u64>) -> Config {
    const GUARD: u64 = 64 << 10;

    let mut config = Config::new();
    if let Some(reservation) = reservation {
        config
            .memory_reservation(reservation)
            .memory_reservation_for_growth(reservation)
            .memory_guard_size(GUARD);
    }
    config.epoch_interruption(true);
    // Leaves out what the system's unwinder reads (`.eh_frame`): a seventeenth of all code, which
    // would be written, read, hashed, and registered with the unwinder at each load. Wasmtime finds
    // a guest's frames by frame pointers, and catches panics where a handler returns. Only
    // debuggers and the backtrace of a handler's panic see less: the backtrace ends at the guest.
    // Windows requires it.
    if cfg!(not(windows)) {
        config.native_unwind_info(false);
    }

    // On, as in every Antiphon engine: compilers emit it today, and all engines run it alike.
    config.wasm_tail_call(true);
    // Off: guests do not need these, and each adds a way to be wrong.
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

/// The limit on address space, in bytes, below which memories are made as small as they may be.
/// Above it there is room for 64 memories as Wasmtime makes them.
const SCARCE: u64 = 256 << 30;

/// Returns the address space that each memory reserves, in bytes, if this process may have little:
/// less than Wasmtime's own choice.
///
/// Wasmtime reserves 4 GiB for each memory, so that code needs no checks of bounds, and a memory
/// never moves. A process that is limited to a few gigabytes could not start a single guest. There,
/// a memory gets as much as the guest's limit allows, and moves if a host allows more.
fn reservation(limits: &Limits, address_space: Option<u64>) -> Option<u64> {
    /// The most that a memory of 32-bit addresses can have.
    const LARGEST: u64 = 4 << 30;

    let address_space = address_space.filter(|limit| *limit < SCARCE)?;
    // A limit that is out of all proportion to the address space is no reason to fail.
    Some(limits.memory_or_default().min(address_space / 16).min(LARGEST))
}

/// Makes each run of a guest equal, on every machine. Called after the caller's settings, which
/// must not undo it.
pub(crate) fn make_deterministic(config: &mut Config) {
    config.consume_fuel(true);
    config.cranelift_nan_canonicalization(true);
    // Threads can wait by the clock, and relaxed instructions differ between processors.
    for feature in
        [WasmFeatures::RELAXED_SIMD, WasmFeatures::THREADS, WasmFeatures::SHARED_EVERYTHING_THREADS]
    {
        config.wasm_features(feature, false);
    }
}

/// Refuses a deadline that no clock could keep.
pub(crate) fn unsupported_deadline() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "a deadline needs an engine with epoch interruption: set `Config::epoch_interruption(true)` on an engine of your \
         own, and leave `dangerously_without_interruption` out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_reserves_no_more_than_its_limit_where_address_space_is_scarce() {
        let reserved = |limits: Limits, address_space| {
            let engine = Engine::new(&config(reservation(&limits, address_space))).unwrap();
            (engine.get_memory_reservation(), engine.get_memory_guard_size())
        };
        for plenty in [None, Some(SCARCE), Some(u64::MAX)] {
            assert_eq!(reserved(Limits::new(), plenty), (4 << 30, 32 << 20));
        }
        let scarce = |limits| reserved(limits, Some(16 << 30));
        assert_eq!(scarce(Limits::new()), (64 << 20, 64 << 10));
        assert_eq!(scarce(Limits::new().memory(1 << 20)), (1 << 20, 64 << 10));
        assert_eq!(scarce(Limits::new().memory(u64::MAX)), (1 << 30, 64 << 10));
        assert_eq!(reserved(Limits::new().memory(u64::MAX), Some(SCARCE - 1)), (4 << 30, 64 << 10));
    }
}
