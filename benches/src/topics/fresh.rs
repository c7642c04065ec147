//! `fresh`: a fresh instance for every call, by hand, by the incumbent and by Antiphon; `threads`:
//! that on one thread and on two.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::built;
use crate::guest::Guest;
use crate::measure::turns::{Contender, take_turns};
use crate::report::table::{Cell, Column, Row, Table, Unit};
use crate::rivals::maker::{FreshCall, Kind, Maker, Variant};
use crate::rivals::{incumbent, limit, pool};

static PAYLOAD: [u8; 1 << 10] = [7; 1 << 10];

/// The length of a batch. An instance costs microseconds, and the first instances of a batch fill
/// the pool again.
const BATCH: Duration = Duration::from_millis(2);

/// Returns the small guest and a large one.
fn guests() -> Result<[(String, Vec<u8>); 2]> {
    let large = built::repeated(built::RUST, 20)?;
    let small = Guest::echo()?.wasm;
    Ok([
        (format!("`guests/echo.wat`, {} B", small.len()), small),
        (format!("`guests/built/rust.wasm`, each function 20 times, {} KB", large.len() / 1000), large),
    ])
}

/// Returns every variant of this build. The rows are equal for each guest.
fn variants(wasm: &[u8]) -> Result<Vec<Variant>> {
    let mut variants = vec![Variant::new(Kind::Limit, "by hand, on demand", limit::fresh(wasm, None)?)];
    for pool in pool::Pool::here() {
        let label = format!("by hand, {}", pool.name());
        variants.push(Variant::new(Kind::Limit, label, limit::fresh(wasm, Some(pool))?));
    }
    variants.push(Variant::new(Kind::Incumbent, "incumbent, its default", incumbent::fresh(wasm, None)?));
    let best = pool::Pool::best();
    let label = format!("incumbent, {}", best.name());
    variants.push(Variant::new(Kind::Incumbent, label, incumbent::fresh(wasm, Some(best))?));
    #[cfg(feature = "antiphon")]
    variants.extend(crate::rivals::antiphon::fresh(wasm)?);
    #[cfg(feature = "extism")]
    variants.push(Variant::new(
        Kind::Other,
        "extism, `new_from_compiled` (its own echo plugin)",
        crate::rivals::extism::fresh()?,
    ));
    Ok(variants)
}

/// Makes the rows, with the rows that they are compared with: the best one by hand that is safe on
/// this machine, and the incumbent's default.
fn rows(variants: &[Variant]) -> Vec<Row> {
    let limit = variants.iter().rposition(|variant| variant.kind == Kind::Limit);
    let incumbent = variants.iter().position(|variant| variant.kind == Kind::Incumbent);
    variants
        .iter()
        .map(|variant| Row {
            label: variant.label.clone(),
            limit,
            incumbent: incumbent.filter(|_| variant.kind == Kind::Antiphon),
            cells: Vec::new(),
        })
        .collect()
}

/// Measures a fresh instance for each call.
///
/// # Errors
///
/// When a variant refuses a guest, or a call fails.
pub fn table(rounds: u32) -> Result<Table> {
    let mut table = Table {
        title: "A fresh instance for every call".into(),
        note: format!(
            "A cell: median time to instantiate, echo 1 KiB and drop; its ratio to the best row by hand that is safe on this \
             machine ({}), and for Antiphon how many times faster than the incumbent's default it is (`/`).",
            pool::Pool::best().name()
        ),
        columns: Vec::new(),
        rows: Vec::new(),
    };
    for (name, wasm) in guests()? {
        eprintln!("fresh, {name}: {rounds} rounds");
        let variants = variants(&wasm)?;
        if table.rows.is_empty() {
            table.rows = rows(&variants);
        }
        let mut contenders = Vec::new();
        for variant in &variants {
            let mut call = (variant.maker)()?;
            contenders.push(Contender::each(&variant.label, move || checked(&mut call)));
        }
        table.columns.push(Column::time(name));
        for (row, cell) in table.rows.iter_mut().zip(take_turns(&mut contenders, rounds, BATCH)?) {
            row.cells.push(Some(cell));
        }
    }
    Ok(table)
}

fn checked(call: &mut FreshCall) -> Result<()> {
    let len = call(&PAYLOAD)?;
    ensure!(len == PAYLOAD.len(), "an answer of {len} bytes");
    Ok(())
}

/// Measures a fresh instance for each call, on one thread and on two.
///
/// # Errors
///
/// When a variant refuses the guest, or a call fails.
pub fn threads(rounds: u32) -> Result<Table> {
    let [(name, wasm), _] = guests()?;
    eprintln!("threads, {name}: {rounds} rounds");
    let variants = variants(&wasm)?;
    let mut rows = rows(&variants);
    let mut contenders = Vec::new();
    for variant in &variants {
        for count in [1, 2] {
            let maker = Arc::clone(&variant.maker);
            contenders.push(Contender::new(&variant.label, move |times| on_threads(&maker, count, times)));
        }
    }
    let cells = take_turns(&mut contenders, rounds, 5 * BATCH)?;
    for (row, pair) in rows.iter_mut().zip(cells.chunks(2)) {
        let [one, two] = pair else { return Err(anyhow!("a row without its pair")) };
        let times = one.median / two.median;
        let factor = Cell { median: times, lower_quartile: times, upper_quartile: times };
        row.cells = vec![Some(*one), Some(*two), Some(factor)];
    }
    let factor = Column { name: "2 threads / 1".into(), unit: Unit::Factor };
    Ok(Table {
        title: "A fresh instance for every call, on threads".into(),
        note: format!(
            "{name}. A cell: wall time by the calls of all threads together, so that half of it on two threads is perfect; ratios as \
             in the table above. The last column: how many times the calls of one thread two threads make."
        ),
        columns: vec![Column::time("1 thread"), Column::time("2 threads"), factor],
        rows,
    })
}

/// Makes calls on `count` threads, each with an equal share. The clock runs from when all threads
/// are ready until the last one is done.
fn on_threads(maker: &Maker, count: u32, times: u32) -> Result<Duration> {
    let share = times.div_ceil(count);
    let ready = Barrier::new(count as usize + 1);
    let (elapsed, results) = thread::scope(|scope| {
        let work = || {
            let made = maker();
            ready.wait();
            let mut call = made?;
            (0..share).try_for_each(|_| checked(&mut call))
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        ready.wait();
        let start = Instant::now();
        let results: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (start.elapsed(), results)
    });
    for result in results {
        result.ok().context("a thread panicked")??;
    }
    // Scaled to exactly `times` calls.
    Ok(elapsed.mul_f64(f64::from(times) / f64::from(share * count)))
}
