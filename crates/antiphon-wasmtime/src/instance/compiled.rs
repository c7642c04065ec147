//! A compiled module with the settings of its guests. Every instance of either mode is made from
//! it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::module_info::{ExternKind, Import, ModuleInfo};
use antiphon::{Capabilities, Conversation, EngineOptions, Isolation, Limits, default_limits};

use super::linked::Linked;
use super::{How, Instance, Unstarted, wasi};
use crate::compile::Source;
use crate::engine::{Clock, Clocked, unsupported_deadline};
use crate::errors;
use crate::options::{EpochDeadlines, Settings};

/// A module that is ready to be instantiated, in either mode. Cheap to clone, because a provider
/// with epoch deadlines of its own has a clone: what is large is shared.
#[derive(Clone)]
pub struct Compiled {
    pub(super) info: Arc<ModuleInfo>,
    pub(super) settings: Settings,
    /// The limits that the host is told about.
    pub(super) limits: Limits,
    linked: Arc<Linked>,
    /// Makes instances on demand when the pool of instances has no place left.
    overflow: Arc<OnceLock<Option<Linked>>>,
    pub(super) world: Option<wasi::World>,
}

impl Compiled {
    pub(crate) fn new(engine: Clocked, source: Source<'_>, settings: Settings) -> errors::Result<Self> {
        let limits = reported_limits(&engine, &settings)?;
        let in_force = limits.or(default_limits());
        let (module, info, engine) = source.load(engine, &settings, &in_force)?;
        info.check(|import| known_import(import, &settings.options))?;
        info.needs.check(&in_force)?;
        let linked = Linked::new(engine, &module, &info)?;
        let world = wasi::world(&info, &settings.options)?;
        let (info, linked) = (Arc::new(info), Arc::new(linked));
        Ok(Self { info, settings, limits, linked, overflow: Arc::default(), world })
    }

    /// Returns what an artifact is made from: the module as it was handed in, and its code.
    #[cfg(feature = "cache")]
    pub(crate) fn written<'a>(&'a self, bytes: &'a [u8]) -> crate::compile::cache::Written<'a> {
        use crate::compile::cache::{Environment, Written};

        let deterministic = self.settings.options.deterministic.is_some();
        let environment = Environment::of(&self.linked.engine, deterministic);
        Written { bytes, module: self.linked.module(), environment, info: ModuleInfo::clone(&self.info) }
    }

    /// Returns this module with other epoch deadlines.
    pub(crate) fn with_epochs(this: &Arc<Self>, epochs: Option<EpochDeadlines>) -> errors::Result<Arc<Self>> {
        if epochs == this.settings.epochs {
            return Ok(Arc::clone(this));
        }
        let settings = Settings { epochs, ..this.settings.clone() };
        Ok(Arc::new(Self {
            limits: reported_limits(&this.linked.engine, &settings)?,
            settings,
            ..Self::clone(this)
        }))
    }

    /// Returns the fuel of each call and of a start, within limits that the host has merged.
    /// Returns `None` if the engine counts no fuel.
    ///
    /// Counting costs the guest time in every loop, so an engine of ours counts fuel only if the
    /// builder has a limit. That is fixed when a module is compiled. So a limit that only the host
    /// sets is refused here and not ignored.
    ///
    /// # Errors
    /// Fails if there is a limit and the engine counts no fuel.
    pub(super) fn fuel(&self, limits: &Limits) -> Result<Option<u64>, Error> {
        self.linked.engine.check_fuel(limits)?;
        Ok(self.linked.engine.counts_fuel().then(|| self.settings.options.fuel(limits)))
    }

    /// Starts an instance in the pool if it has a place, and otherwise on the engine beside the
    /// pool.
    pub(super) async fn place(
        &self,
        conversation: &mut Box<Conversation>,
        spare: Box<Conversation>,
        how: How,
    ) -> Result<Instance, Error> {
        let Some(pool) = &self.linked.engine.pool else {
            let started = Instance::start_on(self, &self.linked, conversation, spare, how).await;
            return started.map_err(|unstarted| unstarted.error);
        };
        let spare = if pool.fits(conversation.limits()) {
            match Instance::start_on(self, &self.linked, conversation, spare, how).await {
                Ok(instance) => return Ok(instance),
                Err(Unstarted { error, unplaced: None }) => return Err(error),
                Err(Unstarted { error, unplaced: Some(spare) }) => {
                    pool.warn(&error);
                    spare
                }
            }
        } else {
            pool.warn(&"the host allows larger tables or memories than the pool has room for");
            spare
        };
        let overflow = self.overflow.get_or_init(|| {
            let linked = self.linked.on_demand(&self.info);
            linked
                .inspect_err(|error| tracing::error!(target: "antiphon", %error, "no engine beside the pool"))
                .ok()
        });
        let linked = overflow.as_ref().unwrap_or(&*self.linked);
        let started = Instance::start_on(self, linked, conversation, spare, how).await;
        started.map_err(|unstarted| unstarted.error)
    }
}

/// Returns the limits that the provider brings: those that were set, and no default deadline if the
/// engine cannot keep one or counts epoch ticks.
fn reported_limits(engine: &Clocked, settings: &Settings) -> Result<Limits, Error> {
    let clock = engine.clock;
    let limits = settings.options.provider_limits();
    engine.check_fuel(&limits)?;
    settings.options.stack()?;
    engine.check_stack(&limits)?;
    if settings.options.deterministic.is_some() && settings.epochs.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "epoch deadlines count time, which a deterministic guest must not depend on",
        ));
    }
    if clock == Clock::Nobody && settings.epochs.is_some() {
        return Err(unsupported_deadline());
    }
    if clock == Clock::Nobody {
        let explicit = [limits.deadline, limits.init_deadline];
        if explicit.into_iter().flatten().any(|deadline| deadline != Duration::MAX) {
            return Err(unsupported_deadline());
        }
        // No warning: the caller made such an engine, or asked for one.
        static SAID: std::sync::Once = std::sync::Once::new();
        if without_deadlines(&limits.or(default_limits())) {
            tracing::debug!(
                target: "antiphon",
                "an engine has no epoch interruption, and no deadline is asked for"
            );
        } else {
            SAID.call_once(|| {
                tracing::info!(
                    target: "antiphon",
                    "an engine has no epoch interruption: guests on it run without the default deadlines; for deadlines, \
                     set `Config::epoch_interruption(true)` on the engine"
                );
            });
        }
    }
    let untimed = clock == Clock::Nobody || settings.epochs.is_some();
    Ok(if untimed { limits.without_default_deadlines() } else { limits })
}

/// Returns whether limits say that neither a call nor a start has a deadline.
fn without_deadlines(limits: &Limits) -> bool {
    limits.deadline_or_default().min(limits.init_deadline_or_default()) == Duration::MAX
}

/// Returns the type of an import that is served beyond waPC's own.
fn known_import(import: &Import, options: &EngineOptions) -> Option<ExternKind> {
    if options.wasi { wasi::import_type(import) } else { None }
}

impl antiphon::provider::Compiled for Compiled {
    type Instance = Instance;

    fn compile(&self, bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::new(self.linked.engine.clone(), Source::Bytes(bytes), self.settings.clone())?)
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn isolation(&self) -> Isolation {
        self.settings.options.isolation
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.settings.options.capabilities();
        capabilities.deadline = self.linked.engine.clock != Clock::Nobody;
        capabilities.fuel = self.linked.engine.counts_fuel();
        capabilities.memory_limit = true;
        capabilities.ahead_of_time = cfg!(feature = "cache");
        capabilities.stack_limit = true;
        capabilities.backtrace = true;
        capabilities.suspend = cfg!(feature = "async");
        capabilities.wasi &= cfg!(feature = "wasi");
        capabilities
    }

    fn info(&self) -> &ModuleInfo {
        &self.info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_with_epoch_deadlines_of_its_own_shares_what_was_compiled() {
        const GUEST: &[u8] = br#"(module (memory (export "memory") 1)
            (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;

        let settings = Settings { options: Arc::default(), epochs: None, cache: None };
        let engine = Clocked::new(&crate::engine::config(None)).unwrap();
        let compiled = Arc::new(Compiled::new(engine, Source::Bytes(GUEST), settings).unwrap());
        let epochs = EpochDeadlines { wapc_init: 1, wapc_func: 2 };
        let other = Compiled::with_epochs(&compiled, Some(epochs)).unwrap();
        assert_eq!((other.settings.epochs, other.limits.deadline), (Some(epochs), Some(Duration::MAX)));
        assert!(Arc::ptr_eq(&compiled.info, &other.info) && Arc::ptr_eq(&compiled.linked, &other.linked));
        assert!(Arc::ptr_eq(&compiled.settings.options, &other.settings.options));
        assert!(Arc::ptr_eq(&compiled.overflow, &other.overflow));
        let same = Compiled::with_epochs(&other, Some(epochs)).unwrap();
        assert!(Arc::ptr_eq(&same, &other));
    }
}
