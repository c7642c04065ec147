//! The clock of every deadline: one thread that ticks every 5 ms, and sleeps while no call runs.
//!
//! Code on the call path reads the ticker's cached tick. It reads a clock only where it wakes the
//! thread or measures its use. At each tick the thread runs the hooks of the engines, which
//! interrupt guests (each store decides for itself), and rings the alarms of whatever waits outside
//! a guest: host calls, queues, sleeps. So no deadline needs an executor's timer.
//!
//! The thread sleeps while no gate is busy and no alarm is set. The hand-shake with the calls is in
//! [`now`], in the gate's `is_busy` and in `Awake`.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::Alarm;
use crate::errors::{Error, Resource, Result};
use crate::survive::{self, survive};

/// The length of a tick, 5 ms. A deadline is kept to within two ticks.
pub const TICK: Duration = Duration::from_millis(5);

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// How late a tick may come and still count as on time.
const PUNCTUAL: Duration = Duration::from_millis(1);

/// Ticks without a new call after which the thread checks whether it may sleep.
const IDLE_TICKS: u32 = 40;

/// What an engine does at each tick. It runs on the ticker's thread, so it must be short and never
/// block.
pub trait OnTick: Send + Sync {
    /// Runs the hook: a tick has passed.
    fn on_tick(&self);
}

/// A place that a call may be running in. While one is busy the ticker may not sleep.
pub(crate) trait Busy: Send + Sync {
    fn is_busy(&self) -> bool;

    /// Wakes a caller that waits although the place is open. Returns whether any caller waits.
    fn wake_missed(&self) -> bool;
}

static NOW: AtomicU64 = AtomicU64::new(0);
/// [`PARKED`], [`UNTOUCHED`] or [`TOUCHED`]. It is one value, so that a call needs one look.
static STATE: AtomicU8 = AtomicU8::new(PARKED);
/// Set when a caller begins to wait at a gate, and kept set while any caller waits.
static QUEUED: AtomicBool = AtomicBool::new(false);
/// The number of guests that run outside any gate: replacements that start.
static AWAKE: AtomicUsize = AtomicUsize::new(0);
static EPOCH: OnceLock<Instant> = OnceLock::new();
static SHARED: Mutex<Shared> = Mutex::new(Shared {
    owner: None,
    engines: Vec::new(),
    gates: Vec::new(),
    alarms: Alarms { at: BTreeMap::new(), count: 0, prune_at: 1024 },
    jumps: Jumps(VecDeque::new()),
});
static WAKE: Condvar = Condvar::new();

struct Shared {
    /// The process that the thread runs in. A fork has a copy of all of this, but no thread.
    owner: Option<u32>,
    engines: Vec<Weak<dyn OnTick>>,
    gates: Vec<Weak<dyn Busy>>,
    alarms: Alarms,
    jumps: Jumps,
}

/// The thread sleeps, or is about to.
const PARKED: u8 = 0;
/// The thread ticks, and no call has begun since the last tick.
const UNTOUCHED: u8 = 1;
/// The thread ticks, and a call has begun since the last tick.
const TOUCHED: u8 = 2;

/// Returns the current tick, counted from the first use. A call must be marked as busy before it
/// reads its first tick.
#[inline]
pub fn now() -> u64 {
    // Pairs with the store in `park_if_idle`: either this load sees that the ticker is about to
    // sleep, or the ticker sees that the caller's gate is busy.
    if STATE.load(Ordering::SeqCst) != TOUCHED {
        touch();
    }
    NOW.load(Ordering::Relaxed)
}

/// Notes that a call has begun, and wakes the ticker if it sleeps.
#[cold]
fn touch() {
    if STATE.compare_exchange(UNTOUCHED, TOUCHED, Ordering::SeqCst, Ordering::SeqCst) == Err(PARKED) {
        unpark();
    }
}

/// Returns the current tick, for code inside a call or a start, which keep the ticker awake.
#[inline]
pub fn now_inside() -> u64 {
    NOW.load(Ordering::Relaxed)
}

/// Returns the whole ticks in a duration, rounded up; [`NEVER`] for a duration that means 'no
/// limit'.
pub(crate) fn ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(NEVER)
}

/// Returns the moment of a tick; `None` for [`NEVER`].
pub(crate) fn instant(tick: u64) -> Option<Instant> {
    let nanos = u64::try_from(TICK.as_nanos()).ok()?.checked_mul(tick)?;
    epoch().checked_add(Duration::from_nanos(nanos))
}

/// Runs a hook at each tick for as long as it lives.
///
/// # Errors
/// [`OutOfResources`](crate::errors::ErrorKind::OutOfResources): the ticker's thread cannot be
/// started.
pub fn on_each_tick(hook: Weak<dyn OnTick>) -> Result<()> {
    let mut shared = started()?;
    shared.engines.retain(|engine| engine.strong_count() > 0);
    shared.engines.push(hook);
    Ok(())
}

/// Keeps the ticker awake while the gate is busy.
pub(crate) fn watch(gate: Weak<dyn Busy>) -> Result<()> {
    let mut shared = started()?;
    // Programs that make a host for each request would fill the list with dead gates.
    if shared.gates.len() == shared.gates.capacity() {
        shared.gates.retain(|gate| gate.strong_count() > 0);
        // Reserves as much room again as is in use. With less, a program with many lasting hosts
        // would sweep through all of them for each new one.
        let used = shared.gates.len();
        shared.gates.reserve(used.max(4));
    }
    shared.gates.push(gate);
    Ok(())
}

/// Asks the ticker to look into the gates at each tick: a caller waits at a gate, and the leaving
/// holder may have missed it.
pub(crate) fn somebody_queues() {
    QUEUED.store(true, Ordering::Release);
    // A waiter without a deadline has no alarm that would wake the ticker.
    now();
}

/// Returns by how many ticks the cached tick may have been too old while it was `tick`, because the
/// ticker's thread waited for a processor. A delay of less than a millisecond does not count.
///
/// Takes a lock. It is for code that counted from a tick and finds its time over, to compensate for
/// the delay.
pub fn lateness(tick: u64) -> u64 {
    lock().jumps.after(tick)
}

/// Rings an alarm at a tick, if it still lives then.
pub(crate) fn ring_at(tick: u64, alarm: Weak<Alarm>) {
    let mut shared = lock();
    if shared.owner.is_none() {
        // No host has started the thread yet. If it cannot start, only a poll checks the time.
        let _ = shared.ensure_runs();
    }
    shared.alarms.add(tick, alarm);
    drop(shared);
    // The ticker may have gone to sleep before it could see the alarm.
    now();
}

fn lock() -> MutexGuard<'static, Shared> {
    survive::lock(&SHARED)
}

fn epoch() -> Instant {
    *EPOCH.get_or_init(Instant::now)
}

fn started() -> Result<MutexGuard<'static, Shared>> {
    let mut shared = lock();
    shared.ensure_runs().map_err(|error| {
        Error::out_of_resources(Resource::Threads, "the clock of all deadlines")
            .with_source(error)
            .never_born()
    })?;
    Ok(shared)
}

impl Shared {
    /// Starts the thread, if this process has none.
    fn ensure_runs(&mut self) -> io::Result<()> {
        let this = std::process::id();
        if self.owner != Some(this) {
            epoch();
            thread::Builder::new().name("antiphon-ticker".into()).spawn(run)?;
            self.owner = Some(this);
            #[cfg(test)]
            tests::STARTED.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

fn unpark() {
    let mut shared = lock();
    if shared.owner.is_some() && shared.ensure_runs().is_err() {
        // A fork that cannot start a thread: the next call tries again.
        return;
    }
    // No call has read the old tick since the thread parked.
    NOW.fetch_max(true_tick().0, Ordering::Relaxed);
    STATE.store(TOUCHED, Ordering::SeqCst);
    WAKE.notify_all();
}

/// Returns the current tick by the clock, and how long it has lasted.
fn true_tick() -> (u64, Duration) {
    let nanos = epoch().elapsed().as_nanos();
    let (tick, rest) = (nanos / TICK.as_nanos(), nanos % TICK.as_nanos());
    (u64::try_from(tick).unwrap_or(NEVER), Duration::from_nanos(u64::try_from(rest).unwrap_or(0)))
}

/// Moves the cached tick on, and returns it.
///
/// Records the delay under the lock, so every reader of the new tick also sees its delay; after the
/// tick moves, because calls until then started from the old one.
fn advance(jumps: &mut Jumps) -> u64 {
    let (before, (tick, _)) = (NOW.load(Ordering::Relaxed), true_tick());
    let now = NOW.fetch_max(tick, Ordering::Relaxed).max(tick);
    let (moved, rest) = true_tick();
    let left_out = moved.saturating_sub(before).saturating_sub(u64::from(rest <= PUNCTUAL));
    if left_out > 0 {
        jumps.note(before, left_out);
    }
    now
}

fn run() {
    let mut idle = 0;
    let mut engines = Vec::new();
    let mut due = Vec::new();
    let mut queued: Vec<Arc<dyn Busy>> = Vec::new();
    loop {
        let tick;
        {
            let mut shared = lock();
            tick = advance(&mut shared.jumps);
            engines.extend(shared.engines.iter().filter_map(Weak::upgrade));
            shared.alarms.take_due(tick, &mut due);
            if QUEUED.swap(false, Ordering::AcqRel) {
                queued.extend(shared.gates.iter().filter_map(Weak::upgrade));
            }
        }
        // Dropped inside `survive` too: dropping the last reference to an engine or an alarm runs
        // its owner's code.
        for engine in engines.drain(..) {
            survive(move || engine.on_tick());
        }
        for alarm in due.drain(..) {
            survive(move || alarm.ring());
        }
        for gate in queued.drain(..) {
            survive(move || {
                if gate.wake_missed() {
                    somebody_queues();
                }
            });
        }
        let touched = STATE.compare_exchange(TOUCHED, UNTOUCHED, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        idle = if touched { 0 } else { idle + 1 };
        if idle >= IDLE_TICKS {
            idle = 0;
            if park_if_idle() {
                continue;
            }
        }
        // To an absolute boundary, so that ticks do not drift.
        if let Some(next) = instant(tick.saturating_add(1)) {
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// Keeps the ticker awake for a guest that runs outside any gate.
pub(crate) struct Awake(());

impl Awake {
    pub(crate) fn new() -> Self {
        AWAKE.fetch_add(1, Ordering::SeqCst);
        now();
        Self(())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        AWAKE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sleeps until a call begins. Returns false, without sleeping, if one is running.
fn park_if_idle() -> bool {
    let gates: Vec<_> = {
        let mut shared = lock();
        // First the flag, then the look: see `now`.
        STATE.store(PARKED, Ordering::SeqCst);
        shared.gates.retain(|gate| gate.strong_count() > 0);
        shared.gates.iter().filter_map(Weak::upgrade).collect()
    };
    // Without the lock: looking into a gate may wake a waiter, and dropping the last reference to a
    // gate drops its engine. A gate that is made in between is entered by a call that sees the flag
    // and clears it.
    let mut busy = AWAKE.load(Ordering::SeqCst) > 0;
    for gate in gates {
        survive(|| busy |= gate.is_busy());
        survive(move || drop(gate));
    }
    let mut shared = lock();
    shared.alarms.prune();
    if busy || shared.alarms.count > 0 {
        STATE.store(UNTOUCHED, Ordering::SeqCst);
        return false;
    }
    while STATE.load(Ordering::SeqCst) == PARKED {
        shared = WAKE.wait(shared).unwrap_or_else(PoisonError::into_inner);
    }
    true
}

/// The times when the clock was late: the tick at which it stood, and how many ticks it then left
/// out. Only the last ones are kept; for a deadline so long that they are forgotten, some ticks do
/// not matter.
struct Jumps(VecDeque<(u64, u64)>);

impl Jumps {
    const KEPT: usize = 1024;

    fn note(&mut self, tick: u64, left_out: u64) {
        if self.0.len() >= Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((tick, left_out));
    }

    fn after(&self, tick: u64) -> u64 {
        self.0
            .binary_search_by_key(&tick, |(tick, _)| *tick)
            .ok()
            .and_then(|found| self.0.get(found))
            .map_or(0, |(_, left_out)| *left_out)
    }
}

/// Alarms by tick. Most are dropped long before theirs, so the dead ones are swept whenever the
/// number has doubled.
struct Alarms {
    at: BTreeMap<u64, Vec<Weak<Alarm>>>,
    count: usize,
    prune_at: usize,
}

impl Alarms {
    fn add(&mut self, tick: u64, alarm: Weak<Alarm>) {
        if self.count >= self.prune_at {
            self.prune();
            self.prune_at = self.count.saturating_mul(2).max(1024);
        }
        self.at.entry(tick).or_default().push(alarm);
        self.count = self.count.saturating_add(1);
    }

    fn take_due(&mut self, tick: u64, due: &mut Vec<Arc<Alarm>>) {
        while let Some(first) = self.at.first_entry().filter(|entry| *entry.key() <= tick) {
            let alarms = first.remove();
            self.count = self.count.saturating_sub(alarms.len());
            due.extend(alarms.iter().filter_map(Weak::upgrade));
        }
    }

    fn prune(&mut self) {
        self.at.retain(|_, alarms| {
            alarms.retain(|alarm| alarm.strong_count() > 0);
            !alarms.is_empty()
        });
        self.count = self.at.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads that the ticker has started.
    pub(super) static STARTED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn durations_are_rounded_up_to_ticks() {
        assert_eq!(ticks(Duration::from_millis(5)), 1);
        assert_eq!(ticks(Duration::from_millis(6)), 2);
        assert_eq!(ticks(Duration::ZERO), 0);
        assert_eq!(ticks(Duration::MAX), NEVER);
    }

    #[test]
    fn a_clock_that_was_late_is_remembered_for_a_while() {
        let mut jumps = Jumps(VecDeque::new());
        jumps.note(10, 4);
        jumps.note(15, 1);
        assert_eq!([9, 10, 11, 15, 17].map(|tick| jumps.after(tick)), [0, 4, 0, 1, 0]);
        for tick in 0..10_000 {
            jumps.note(20 + 2 * tick, 1);
        }
        assert_eq!((jumps.0.len(), jumps.after(10), jumps.after(20_018)), (Jumps::KEPT, 0, 1));
    }

    #[test]
    fn dropped_alarms_are_swept_before_their_tick() {
        let mut alarms = Alarms { at: BTreeMap::new(), count: 0, prune_at: 1024 };
        let kept = Arc::new(Alarm::default());
        alarms.add(5, Arc::downgrade(&kept));
        for tick in 0..100_000 {
            alarms.add(1_000 + tick, Arc::downgrade(&Arc::new(Alarm::default())));
        }
        assert!(alarms.count <= 1025, "{}", alarms.count);
        let mut due = Vec::new();
        alarms.take_due(5, &mut due);
        assert_eq!(due.len(), 1);
    }

    #[test]
    fn the_clock_goes_on_after_the_ticker_slept() {
        struct Never;
        impl Busy for Never {
            fn is_busy(&self) -> bool {
                false
            }

            fn wake_missed(&self) -> bool {
                false
            }
        }
        let gate: Arc<dyn Busy> = Arc::new(Never);
        watch(Arc::downgrade(&gate)).unwrap();
        let before = now();
        thread::sleep(TICK * (IDLE_TICKS + 20));
        assert!(now() >= before + u64::from(IDLE_TICKS), "{} then {}", before, now());
    }

    /// Waits as long as it takes: the ticker's thread may be busy printing a panic's backtrace.
    #[track_caller]
    fn still_ticks() {
        let (before, patience) = (now(), Instant::now() + Duration::from_secs(20));
        while now() <= before + 1 {
            assert!(Instant::now() < patience, "the ticker ended");
            thread::sleep(TICK);
        }
    }

    #[test]
    fn a_fork_has_a_thread_of_its_own_at_its_next_call() {
        started().map(drop).unwrap();
        let before = STARTED.load(Ordering::SeqCst);
        // As a fork finds it: another process started it. (No process has the number 0.)
        lock().owner = Some(0);
        unpark();
        assert_eq!(lock().owner, Some(std::process::id()));
        assert_eq!(STARTED.load(Ordering::SeqCst), before + 1);
        unpark();
        assert_eq!(STARTED.load(Ordering::SeqCst), before + 1, "one is enough");
        still_ticks();
    }

    #[test]
    fn a_waker_that_panics_does_not_end_the_ticker() {
        /// Panics with something that panics when it is dropped.
        struct Bomb(Arc<AtomicBool>);
        impl std::task::Wake for Bomb {
            fn wake(self: Arc<Self>) {
                std::panic::resume_unwind(Box::new(Shrapnel(Arc::clone(&self.0))));
            }
        }
        struct Shrapnel(Arc<AtomicBool>);
        impl Drop for Shrapnel {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
                panic!("boom");
            }
        }
        let (alarm, met) = (Arc::new(Alarm::default()), Arc::new(AtomicBool::new(false)));
        alarm.set(&Arc::new(Bomb(Arc::clone(&met))).into());
        started().map(drop).unwrap();
        ring_at(now(), Arc::downgrade(&alarm));
        let patience = Instant::now() + Duration::from_secs(20);
        while !met.load(Ordering::SeqCst) {
            assert!(Instant::now() < patience, "the alarm was never rung");
            now();
            thread::sleep(TICK);
        }
        still_ticks();
    }

    /// Panics on the ticker's thread: in its work, or when it is dropped there.
    struct Bomb {
        /// Makes the ticker the last owner.
        itself: Mutex<Option<Arc<Self>>>,
        panics_at_work: bool,
        met: Arc<AtomicBool>,
    }

    impl Bomb {
        fn work(&self) {
            drop(survive::lock(&self.itself).take());
            if self.panics_at_work {
                self.met.store(true, Ordering::SeqCst);
                panic!("boom");
            }
        }

        /// Creates a bomb with two owners: itself until it has worked, and the test.
        fn new(panics_at_work: bool) -> (Arc<Self>, Arc<AtomicBool>) {
            let bomb = Arc::new(Self { itself: Mutex::default(), panics_at_work, met: Arc::default() });
            *bomb.itself.lock().unwrap() = Some(Arc::clone(&bomb));
            let met = Arc::clone(&bomb.met);
            (bomb, met)
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            if !self.panics_at_work {
                self.met.store(true, Ordering::SeqCst);
                panic!("boom");
            }
        }
    }

    impl OnTick for Bomb {
        fn on_tick(&self) {
            self.work();
        }
    }

    impl Busy for Bomb {
        fn is_busy(&self) -> bool {
            self.work();
            false
        }

        fn wake_missed(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_hook_that_panics_or_whose_drop_panics_does_not_end_the_ticker() {
        for panics_at_work in [true, false] {
            let (bomb, met) = Bomb::new(panics_at_work);
            let hook: Weak<dyn OnTick> = Arc::downgrade(&bomb) as _;
            drop(bomb);
            on_each_tick(hook).unwrap();
            let patience = Instant::now() + Duration::from_secs(20);
            while !met.load(Ordering::SeqCst) {
                assert!(Instant::now() < patience, "the hook was never called");
                now();
                thread::sleep(TICK);
            }
            still_ticks();
        }
    }

    #[test]
    fn a_gate_that_panics_or_whose_drop_panics_does_not_end_the_ticker() {
        for panics_at_work in [true, false] {
            let (bomb, met) = Bomb::new(panics_at_work);
            let gate: Weak<dyn Busy> = Arc::downgrade(&bomb) as _;
            drop(bomb);
            watch(gate).unwrap();
            // The ticker looks into gates before it goes to sleep, so nothing may keep it awake
            // here.
            let patience = Instant::now() + Duration::from_secs(60);
            while !met.load(Ordering::SeqCst) {
                assert!(Instant::now() < patience, "the gate was never looked at");
                thread::sleep(TICK);
            }
            still_ticks();
        }
    }
}
