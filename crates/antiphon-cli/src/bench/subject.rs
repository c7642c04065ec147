//! What a benchmark measures: a module on an engine behind a pool, and its callers.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::Request;
use antiphon_host::EngineKind;
use antiphon_pool::HostPool;

use super::callers::{Callers, Work, processors};
use super::resident::resident_memory;
use super::tally::{Figures, Tally};
use crate::args::{BenchArgs, Changes, Isolation, Mode};
use crate::failure::Failure;
use crate::run::{self, Inputs};

/// The time between two looks at the calls.
const FRAME: Duration = Duration::from_millis(100);
/// The time between two looks once the duration is over.
const HASTE: Duration = Duration::from_millis(5);

/// Everything that may differ between two subjects.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) module: PathBuf,
    pub(crate) engine: EngineKind,
    pub(crate) mode: Mode,
    pub(crate) isolation: Isolation,
    pub(crate) concurrency: usize,
    /// The most instances; `None` means as many as the machine has processors.
    instances: Option<usize>,
}

impl Setting {
    pub(crate) fn new(args: &BenchArgs) -> Self {
        Self {
            module: args.guest.module.clone(),
            engine: args.engine,
            mode: args.mode,
            isolation: args.guest.isolation,
            concurrency: args.concurrency.unwrap_or_else(processors),
            instances: args.instances,
        }
    }

    /// Returns this setting with changes applied.
    pub(crate) fn with(&self, changes: &Changes) -> Self {
        Self {
            module: changes.module.clone().unwrap_or_else(|| self.module.clone()),
            engine: changes.engine.unwrap_or(self.engine),
            mode: changes.mode.unwrap_or(self.mode),
            isolation: changes.isolation.unwrap_or(self.isolation),
            concurrency: changes.concurrency.unwrap_or(self.concurrency),
            instances: changes.instances.or(self.instances),
        }
    }

    pub(crate) fn instances(&self) -> usize {
        self.instances.unwrap_or_else(processors).min(self.concurrency)
    }
}

/// A setting with its started pool, and its measurements so far.
pub(crate) struct Subject {
    pub(crate) setting: Setting,
    pub(crate) figures: Figures,
    /// Memory of a guest after a call, in bytes; `None` if that call failed.
    pub(crate) guest_memory: Option<u64>,
    /// How much the process grew when the instances started, in bytes; known on Linux only.
    pub(crate) start_memory: Option<u64>,
    pool: HostPool,
    callers: Callers,
    work: Arc<Work>,
}

impl Subject {
    /// Compiles the module, starts all instances, and makes one call.
    pub(crate) fn start(setting: Setting, args: &BenchArgs, inputs: &Inputs) -> Result<Self, Failure> {
        let mut guest = args.guest.clone();
        let mut inputs = inputs.clone();
        if setting.module != guest.module {
            inputs.module = run::read_module(&setting.module, &inputs.limits)?;
        }
        guest.module.clone_from(&setting.module);
        guest.isolation = setting.isolation;
        let terms = inputs.terms(&guest, (&args.wasi, &args.cache));
        let factory = run::factory(setting.engine, &inputs.module, terms)?;
        run::warn_of_unreached_world(&args.wasi, factory.module_info());

        let before = resident_memory();
        let callers = Callers::new(setting.mode, setting.concurrency)?;
        let instances = setting.instances();
        let building = HostPool::builder(factory)
            .min(instances)
            .max(instances)
            .queue(setting.concurrency)
            .isolation(setting.isolation.into())
            .limits(inputs.limits)
            .handler_sync(inputs.rules)
            // Dropped: otherwise the speed of the terminal would be measured for a guest that logs.
            .log(|_| {});
        let pool = callers.runtime().block_on(building.build())?;
        let start_memory = resident_memory().zip(before).map(|(after, before)| after.saturating_sub(before));
        let work = Arc::new(Work { operation: guest.operation, payload: inputs.payload });
        let first = Request::new(&work.operation, work.payload.as_slice()).usage(true);
        let usage = callers.runtime().block_on(pool.call_with(first)).ok().and_then(|answer| answer.usage);
        let guest_memory = usage.map(|usage| usage.memory_peak).filter(|bytes| *bytes > 0);
        Ok(Self { setting, figures: Figures::new()?, guest_memory, start_memory, pool, callers, work })
    }

    /// Measures calls for some time. `look` sees the calls of this turn and the time since its
    /// begin, and decides whether to go on.
    ///
    /// Calls under way when the time is over run to their end. After a break they are left running,
    /// and nothing waits for them.
    pub(crate) fn turn(
        &mut self,
        time: Duration,
        mut look: impl FnMut(&Setting, &Tally, Duration) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Failure> {
        let (tally, took, flow) = self.calls(time, &mut look)?;
        self.figures.add(&tally, took, flow);
        Ok(flow)
    }

    /// Makes calls without recording them, so that caches are warm and every instance has served a
    /// call.
    pub(crate) fn warm_up(&mut self, time: Duration) -> Result<(), Failure> {
        self.calls(time, &mut |_, _, _| ControlFlow::Continue(())).map(drop)
    }

    fn calls(
        &self,
        time: Duration,
        look: &mut dyn FnMut(&Setting, &Tally, Duration) -> ControlFlow<()>,
    ) -> Result<(Arc<Tally>, Duration, ControlFlow<()>), Failure> {
        let tally = Arc::new(Tally::new(self.setting.concurrency)?);
        let (begun, mut flow) = (Instant::now(), ControlFlow::Continue(()));
        let took = self.callers.call(&self.pool, (&self.work, &tally), || {
            let elapsed = begun.elapsed();
            flow = look(&self.setting, &tally, elapsed);
            if flow.is_break() {
                tally.stop();
                return ControlFlow::Break(());
            }
            let left = time.saturating_sub(elapsed);
            if !left.is_zero() {
                return ControlFlow::Continue(left.min(FRAME));
            }
            // On a busy machine a turn may be over before any caller got to run. It goes on until
            // there is a call to count.
            if tally.glance() != [0, 0] {
                tally.stop();
            }
            ControlFlow::Continue(HASTE)
        })?;
        Ok((tally, took, flow))
    }

    /// Drops the pool, shuts the callers down, and returns the measurements.
    pub(crate) fn end(self) -> Figures {
        drop(self.pool);
        self.callers.end();
        self.figures
    }
}
