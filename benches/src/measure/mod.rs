//! Measures variants in turns: each runs a short batch, then the next one does, for many rounds.
//!
//! A machine that slows down for a second slows all of them down alike, so the ratios hold where
//! absolute times drift.

pub mod turns;

use std::env;
use std::fmt;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;

use crate::guest::{Guest, Payload};
use crate::report;
use crate::report::table::{Cell, Column, Row, Table};

/// The length of a batch: long compared with a clock read and `block_on`, short compared with
/// changes in the machine's speed.
const BATCH: Duration = Duration::from_micros(250);

/// The explanation of the tables for their reader.
const NOTE: &str = "A cell: median time per call, its ratio to the `limit` of the same mode (the first row of the mode), and \
    for Antiphon how many times faster than the incumbent of the same mode it is (`/`).";

/// How long each variant runs before anything is counted.
const WARM_UP: Duration = Duration::from_millis(20);

/// A way to make one synchronous guest call.
pub trait SyncCall {
    /// Calls the guest and passes the answer to `read`. One method serves verification and
    /// measurement, so both run one code.
    ///
    /// # Errors
    ///
    /// When the call fails.
    fn call<R>(&mut self, payload: &Payload, read: impl FnMut(&[u8]) -> R) -> Result<R>;
}

/// A way to make one asynchronous guest call.
pub trait AsyncCall {
    /// Calls the guest like [`SyncCall::call`], and awaits the answer.
    ///
    /// # Errors
    ///
    /// When the call fails.
    fn call<R>(&mut self, payload: &Payload, read: impl FnMut(&[u8]) -> R)
    -> impl Future<Output = Result<R>>;
}

/// Whose code makes the call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// A host written by hand on the engine itself, which no host library can beat.
    Limit,
    /// `wapc` with `wasmtime-provider`.
    Incumbent,
    /// `antiphon` with its provider of the engine.
    Antiphon,
    /// extism, which is not a waPC host: a plugin of its own kind does equal work.
    Extism,
}

/// How the call is driven.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// On the caller's stack.
    Sync,
    /// As a future, on tokio's current-thread runtime.
    Async,
}

/// A variant's name. The first label of a family and mode in a table is the one that others are
/// compared with.
#[derive(Clone, Debug)]
pub struct Label {
    /// Whose code makes the call.
    pub family: Family,
    /// How the call is driven.
    pub mode: Mode,
    /// Which method is called, with which settings.
    pub detail: &'static str,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Sync => "sync",
            Mode::Async => "async",
        };
        let family = match self.family {
            Family::Limit => "limit",
            Family::Incumbent => "incumbent",
            Family::Antiphon => "antiphon",
            Family::Extism => "extism",
        };
        write!(f, "{mode} {family}: {}", self.detail)
    }
}

/// A row of a table: a label, and calls that can be measured.
pub struct Variant {
    /// The row's name.
    pub label: Label,
    batch: Box<dyn Batch>,
}

impl Variant {
    /// Returns a variant that calls synchronously.
    pub fn sync(family: Family, detail: &'static str, call: impl SyncCall + 'static) -> Self {
        Self { label: Label { family, mode: Mode::Sync, detail }, batch: Box::new(SyncBatch(call)) }
    }

    /// Returns a variant that calls asynchronously. All of them share `runtime`.
    pub fn r#async(
        family: Family,
        detail: &'static str,
        runtime: &Rc<Runtime>,
        call: impl AsyncCall + 'static,
    ) -> Self {
        let batch = Box::new(AsyncBatch { call, runtime: Rc::clone(runtime) });
        Self { label: Label { family, mode: Mode::Async, detail }, batch }
    }

    /// Calls once and compares the answer with the payload.
    fn verify(&mut self, payload: &Payload) -> Result<()> {
        let right = self.batch.echoes(payload).with_context(|| format!("{}: the call failed", self.label))?;
        ensure!(right, "{}: the answer is not the payload", self.label);
        Ok(())
    }

    fn time(&mut self, payload: &Payload, calls: u32) -> Result<Duration> {
        self.batch.time(payload, calls).with_context(|| format!("{}: a call in a batch failed", self.label))
    }

    /// Warms up, and returns how many calls fill a batch.
    fn calibrate(&mut self, payload: &Payload) -> Result<u32> {
        let start = Instant::now();
        let mut calls = 1;
        loop {
            let elapsed = self.time(payload, calls)?;
            if elapsed < BATCH {
                calls = calls.saturating_mul(2);
            } else if start.elapsed() >= WARM_UP {
                let fitting = f64::from(calls) * BATCH.as_secs_f64() / elapsed.as_secs_f64();
                return Ok((fitting as u32).max(1));
            }
        }
    }
}

/// A variant with its type erased: one virtual call for a batch, none for a guest call.
trait Batch {
    /// Makes one call and returns whether its answer is the payload.
    fn echoes(&mut self, payload: &Payload) -> Result<bool>;
    /// Makes `calls` calls, checks the length of each answer, and returns how long that took.
    fn time(&mut self, payload: &Payload, calls: u32) -> Result<Duration>;
}

struct SyncBatch<C>(C);

impl<C: SyncCall> Batch for SyncBatch<C> {
    fn echoes(&mut self, payload: &Payload) -> Result<bool> {
        self.0.call(payload, |answer| answer == payload.borrowed)
    }

    fn time(&mut self, payload: &Payload, calls: u32) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..calls {
            let len = self.0.call(black_box(payload), |answer| black_box(answer).len())?;
            ensure!(len == payload.borrowed.len(), "an answer of {len} bytes");
        }
        Ok(start.elapsed())
    }
}

struct AsyncBatch<C> {
    call: C,
    runtime: Rc<Runtime>,
}

impl<C: AsyncCall> Batch for AsyncBatch<C> {
    fn echoes(&mut self, payload: &Payload) -> Result<bool> {
        self.runtime.block_on(self.call.call(payload, |answer| answer == payload.borrowed))
    }

    fn time(&mut self, payload: &Payload, calls: u32) -> Result<Duration> {
        // The clock runs inside `block_on`, so that entering the runtime does not count.
        self.runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..calls {
                let len = self.call.call(black_box(payload), |answer| black_box(answer).len()).await?;
                ensure!(len == payload.borrowed.len(), "an answer of {len} bytes");
            }
            Ok(start.elapsed())
        })
    }
}

/// Refuses to measure where a setting makes errors slower than by default, and warns of a build
/// without optimisation.
///
/// # Errors
///
/// When `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is set to anything but 0.
pub fn check_environment() -> Result<()> {
    for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        let off = env::var_os(name).is_none_or(|value| value == "0");
        ensure!(off, "{name} is set: set it to 0, it slows errors down");
    }
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build, the numbers mean nothing");
    }
    Ok(())
}

/// Measures all `variants` of `guest`, size by size, in turns.
///
/// # Errors
///
/// When a variant fails, or answers with anything but its payload.
pub fn measure(guest: &Guest, mut variants: Vec<Variant>, rounds: u32) -> Result<Table> {
    let labels: Vec<Label> = variants.iter().map(|variant| variant.label.clone()).collect();
    let first = |family, mode| labels.iter().position(|label| label.family == family && label.mode == mode);
    let mut rows: Vec<Row> = labels
        .iter()
        .map(|label| Row {
            label: label.to_string(),
            limit: first(Family::Limit, label.mode),
            incumbent: first(Family::Incumbent, label.mode).filter(|_| label.family == Family::Antiphon),
            cells: Vec::new(),
        })
        .collect();
    for &size in guest.sizes {
        eprintln!("{}, {size} B: {} variants, {rounds} rounds", guest.title, variants.len());
        let (other, payload) = (Payload::new(size, 0xA5), Payload::new(size, 0));
        let mut calls = Vec::new();
        for variant in &mut variants {
            // Twice, with different bytes: what an earlier call left in the guest's memory must not
            // pass as an answer.
            variant.verify(&other)?;
            variant.verify(&payload)?;
            calls.push(variant.calibrate(&payload)?);
        }
        let mut times = vec![Vec::new(); variants.len()];
        let mut order: Vec<usize> = (0..variants.len()).collect();
        let mut seed = 1;
        for _ in 0..rounds {
            for &i in &order {
                // One call outside the clock fills the caches with this variant's data.
                variants[i].time(&payload, 1)?;
                let elapsed = variants[i].time(&payload, calls[i])?;
                times[i].push(elapsed.as_secs_f64() * 1e9 / f64::from(calls[i]));
            }
            shuffle(&mut order, &mut seed);
        }
        for variant in &mut variants {
            variant.verify(&other)?;
        }
        for (row, times) in rows.iter_mut().zip(times) {
            row.cells.push(Some(Cell::new(times)));
        }
    }
    let columns = guest.sizes.iter().map(|&size| Column::time(report::bytes(size))).collect();
    Ok(Table { title: guest.title.into(), note: NOTE.into(), columns, rows })
}

/// Shuffles the order, so that no variant always follows another one. The order is equal in each
/// run.
pub fn shuffle(order: &mut [usize], seed: &mut u64) {
    for end in (1..order.len()).rev() {
        // Knuth's MMIX generator, whose high bits are the most random.
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(end, (*seed >> 33) as usize % (end + 1));
    }
}
