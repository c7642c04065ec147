//! What an engine of ours is made from. Modules of equal settings share one engine.
//!
//! An engine costs some hundreds of kilobytes, a hook at each tick and, if its instances serve one
//! call each, a large part of the address space. A server has a thousand modules, which have few
//! settings between them. Modules on one engine share no more than that: each has its own code, and
//! each instance its own store.

use std::process;
use std::sync::{Arc, Mutex, Weak};

use antiphon::Limits;
use wasmtime::{Config, EngineWeak};

use super::pooling::Pool;
use super::stack;
use super::system_info::SystemInfo;
use super::{Clock, Clocked, Ticking, config, make_deterministic, reservation};
use crate::errors::Result;
use crate::lock::lock;

/// Everything that an engine of ours is made from, but for a function of the caller. Engines of
/// equal recipes are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The address space of each memory in bytes, if it is not Wasmtime's own choice.
    pub(crate) reservation: Option<u64>,
    /// The stack of a guest in bytes, if it is not Wasmtime's own choice.
    pub(crate) stack: Option<u64>,
    /// Whether traps are signals, if that is not Wasmtime's own choice.
    pub(crate) signals: Option<bool>,
    /// Whether guests can be interrupted.
    pub(crate) interrupts: bool,
    pub(crate) counts_fuel: bool,
    pub(crate) deterministic: bool,
    /// How many elements a table has room for in the pool of instances, if there is one.
    pub(crate) pool: Option<u64>,
}

impl Recipe {
    /// Returns the address space of each memory, in bytes, that suits these limits.
    pub(crate) fn reservation(limits: &Limits) -> Option<u64> {
        reservation(limits, SystemInfo::address_space_limit())
    }

    /// Makes an engine. `configure` changes its settings where they do not matter to Antiphon.
    ///
    /// # Errors
    /// Fails if the settings contradict each other, or the system has no thread for the clock.
    pub(crate) fn engine(&self, configure: Option<fn(&mut Config)>) -> Result<Clocked> {
        let config = self.config(configure)?;
        match self.pool {
            None => Clocked::new(&config),
            Some(table_elements) => Pool::engine(&config, table_elements),
        }
    }

    fn config(&self, configure: Option<fn(&mut Config)>) -> Result<Config> {
        let mut config = config(self.reservation);
        if let Some(configure) = configure {
            stack::leave_unset(&mut config);
            configure(&mut config);
        }
        stack::fit(&mut config, self.stack, configure.is_some())?;
        if let Some(signals) = self.signals {
            config.signals_based_traps(signals);
        }
        // Set after `configure`, because deadlines depend on it.
        config.epoch_interruption(self.interrupts);
        if self.counts_fuel {
            config.consume_fuel(true);
        }
        if self.deterministic {
            make_deterministic(&mut config);
        }
        Ok(config)
    }
}

/// An engine that is shared, and not kept alive by that.
struct Shared {
    recipe: Recipe,
    /// The process that made it. In a fork, a thread that the fork left behind may hold its locks.
    process: u32,
    engine: EngineWeak,
    clock: Clock,
    ticking: Option<Weak<Ticking>>,
    pool: Option<Weak<Pool>>,
}

static SHARED: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

impl Shared {
    fn new(recipe: Recipe, engine: &Clocked) -> Self {
        Self {
            recipe,
            process: process::id(),
            engine: engine.engine.weak(),
            clock: engine.clock,
            ticking: engine.ticking.as_ref().map(Arc::downgrade),
            pool: engine.pool.as_ref().map(Arc::downgrade),
        }
    }

    /// Returns the engine, if a module still uses it.
    fn upgrade(&self) -> Option<Clocked> {
        /// Returns `None` if the value is gone, and `Some(None)` if there never was one.
        fn whole<T>(weak: Option<&Weak<T>>) -> Option<Option<Arc<T>>> {
            weak.map_or(Some(None), |weak| weak.upgrade().map(Some))
        }

        Some(Clocked {
            engine: self.engine.upgrade()?,
            clock: self.clock,
            ticking: whole(self.ticking.as_ref())?,
            pool: whole(self.pool.as_ref())?,
        })
    }
}

/// Returns the engine of a recipe, which all modules of this recipe share. Makes it if no module
/// uses one.
///
/// # Errors
/// Those of [`Recipe::engine`].
pub(crate) fn shared(recipe: Recipe) -> Result<Clocked> {
    let this = process::id();
    let find = |shared: &[Shared]| {
        let known = |known: &&Shared| known.recipe == recipe && known.process == this;
        shared.iter().filter(known).find_map(Shared::upgrade)
    };
    if let Some(engine) = find(&lock(&SHARED)) {
        return Ok(engine);
    }
    // Made without the lock: this may log, which runs foreign code.
    let engine = recipe.engine(None)?;
    let mut shared = lock(&SHARED);
    // Another thread may have made one in between.
    if let Some(engine) = find(&shared) {
        return Ok(engine);
    }
    shared.retain(|shared| shared.upgrade().is_some());
    shared.push(Shared::new(recipe, &engine));
    Ok(engine)
}
