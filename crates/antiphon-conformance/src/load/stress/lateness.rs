//! How late and how early deadlines come.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::ticker::{self, OnTick};

use crate::support::{Latencies, Milliseconds};

/// How early a deadline may come: a tick that is late by less than this counts as on time.
pub(super) const EARLY: Duration = Duration::from_millis(1);

/// How far many calls ended from the time at which they were due.
#[derive(Clone, Debug)]
pub(super) struct Lateness {
    pub(super) late: Latencies,
    pub(super) early: usize,
    /// By how much the earliest end was early.
    pub(super) earliest: Duration,
}

impl Lateness {
    pub(super) fn new() -> Self {
        Self { late: Latencies::new(), early: 0, earliest: Duration::ZERO }
    }

    pub(super) fn record(&mut self, due: Instant, ended: Instant) {
        let early = due.saturating_duration_since(ended);
        if early > Duration::ZERO {
            self.early += 1;
            self.earliest = self.earliest.max(early);
        }
        self.late.record(ended.saturating_duration_since(due));
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.late.add(&other.late);
        self.early += other.early;
        self.earliest = self.earliest.max(other.earliest);
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ends, late by {}", self.late.count(), self.late)?;
        if self.early > 0 {
            write!(f, "; {} early, by {} at most", self.early, Milliseconds(self.earliest))?;
        }
        Ok(())
    }
}

/// The longest time between two ticks, which shows how late the ticker's thread is.
#[derive(Debug)]
pub(super) struct Gaps {
    epoch: Instant,
    /// The last tick, in microseconds since the epoch; 0 before the first.
    last: AtomicU64,
    longest: AtomicU64,
}

impl OnTick for Gaps {
    fn on_tick(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        let last = self.last.swap(now, Ordering::Relaxed);
        if last > 0 {
            self.longest.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        }
    }
}

impl Gaps {
    /// Returns the process's only instance. It never stops, and costs each tick a few nanoseconds.
    pub(super) fn get() -> &'static Self {
        static GAPS: OnceLock<Arc<Gaps>> = OnceLock::new();
        GAPS.get_or_init(|| {
            let (last, longest) = (AtomicU64::new(0), AtomicU64::new(0));
            let gaps = Arc::new(Self { epoch: Instant::now(), last, longest });
            let hook: Arc<dyn OnTick> = Arc::<Self>::clone(&gaps);
            ticker::on_each_tick(Arc::downgrade(&hook)).expect("the ticker's thread");
            gaps
        })
    }

    /// Starts a new measurement.
    pub(super) fn watch() -> &'static Self {
        let gaps = Self::get();
        gaps.last.store(0, Ordering::Relaxed);
        gaps.longest.store(0, Ordering::Relaxed);
        gaps
    }

    /// Blocks until a tick after `moment` has been counted, so that every reader of the tick gets a
    /// later time.
    pub(super) fn block_past(&self, moment: Instant) {
        let moment = u64::try_from(moment.saturating_duration_since(self.epoch).as_micros());
        let mut last = moment.unwrap_or(u64::MAX);
        // The first tick reported after `moment` may have been counted before it.
        for _ in 0..2 {
            while self.last.load(Ordering::Relaxed) <= last {
                thread::sleep(Duration::from_millis(1));
            }
            last = self.last.load(Ordering::Relaxed);
        }
    }

    /// Returns the longest gap since the last `watch`. It counts from the second tick on, because
    /// the ticker may sleep before the first.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }
}
