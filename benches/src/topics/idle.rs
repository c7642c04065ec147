//! `idle`: how much memory an instance keeps resident between calls.
//!
//! A process makes many instances of one module and calls each once. Every row and column has a
//! process of its own, so that nothing left in one allocator shows in the next cell. Linux only.

use std::any::Any;
use std::process::Command;
use std::{env, fs, str};

use anyhow::{Context as _, Result, bail, ensure};

use crate::built;
use crate::report::table::{Cell, Column, Row, Table, Unit};
use crate::rivals::{incumbent, limit, limit_wasmi};

/// How many instances a process holds.
const COUNTS: [u32; 3] = [1, 1_000, 10_000];

/// Rows: the name on the command line, the label, and whether the build must include Antiphon.
const ROWS: [(&str, &str, bool); 5] = [
    ("limit", "wasmtime by hand", false),
    ("incumbent", "incumbent", false),
    ("wasmtime", "antiphon on wasmtime", true),
    ("limit-wasmi", "wasmi by hand", false),
    ("wasmi", "antiphon on wasmi", true),
];

/// Guests: the name on the command line, and the title.
const GUESTS: [(&str, &str); 3] = [
    ("untouched", "Idle instances of `guests/untouched.wat`, 1 page (64 KiB) that is never written to"),
    ("1", "Idle instances of `guests/idle.wat`, 1 page (64 KiB), two pages of the system's written to"),
    ("rust", "Idle instances of `guests/built/rust.wasm`, 17 pages"),
];

/// Returns a table for each guest.
///
/// # Errors
///
/// When a process cannot make its instances.
pub fn tables() -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (guest, title) in GUESTS {
        let mut rows = Vec::new();
        for (name, label, antiphon) in ROWS {
            if antiphon && !cfg!(feature = "antiphon") {
                continue;
            }
            let mut cells = Vec::new();
            for count in COUNTS {
                eprintln!("idle, {guest}: {label}, {count}");
                let row = Command::new(env::current_exe()?)
                    .args(["idle-row", name, guest, &count.to_string()])
                    .output()?;
                let error = String::from_utf8_lossy(&row.stderr);
                ensure!(row.status.success(), "{count} of {label}: {error}");
                let kib: f64 = str::from_utf8(&row.stdout)?.trim().parse()?;
                cells.push(Some(Cell { median: kib, lower_quartile: kib, upper_quartile: kib }));
            }
            let interpreted = usize::from(name.ends_with("wasmi")) * 3;
            let limit = Some(interpreted).filter(|_| cfg!(feature = "antiphon"));
            let incumbent = Some(1).filter(|_| name == "wasmtime");
            rows.push(Row { label: label.into(), limit, incumbent, cells });
        }
        let column = |count: u32| Column { name: format!("{count} instances"), unit: Unit::Memory };
        tables.push(Table {
            title: title.into(),
            note: "A cell: resident memory of the process for each instance after the first; its ratio to \
                   the same engine by hand, and for Antiphon how many times less than the incumbent it is (`/`)."
                .into(),
            columns: COUNTS.map(column).to_vec(),
            rows,
        });
    }
    Ok(tables)
}

/// Measures one cell and prints it to stdout.
///
/// # Errors
///
/// When the arguments are not a row, a guest and a number, or an instance cannot be made.
pub fn row(name: &str, guest: &str, count: &str) -> Result<()> {
    let count: u32 = count.parse().context("not a number of instances")?;
    let wasm = match guest {
        "rust" => built::RUST.to_vec(),
        "untouched" => wat::parse_str(include_str!("../../guests/untouched.wat"))?,
        _ => wat::parse_str(include_str!("../../guests/idle.wat"))?,
    };
    let make: Box<dyn Fn() -> Result<Box<dyn Any>>> = match name {
        "limit" => Box::new(limit::kept(&wasm)?),
        "incumbent" => Box::new(incumbent::kept(&wasm)?),
        "limit-wasmi" => Box::new(limit_wasmi::kept(&wasm)?),
        #[cfg(feature = "antiphon")]
        engine @ ("wasmtime" | "wasmi") => {
            Box::new(crate::rivals::antiphon::kept(crate::engine::Engine::named(engine)?, &wasm)?)
        }
        _ => bail!("no row {name}"),
    };
    // The first instance is not counted: its call creates what all of them share.
    let first = make()?;
    let mut all = Vec::with_capacity(count as usize);
    // Written to, so that the vector's own memory does not count.
    all.resize_with(count as usize, || None);
    let before = resident()?;
    for place in &mut all {
        *place = Some(make()?);
    }
    println!("{}", (resident()? - before) / f64::from(count));
    drop((first, all));
    Ok(())
}

/// Returns the resident memory of this process, in KiB.
fn resident() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).context("a field is missing")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
