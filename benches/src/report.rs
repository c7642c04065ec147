//! The Markdown document: what the machine is, what was built, and a table for each guest.

use std::fmt::Write as _;
use std::fs;
use std::thread;

use crate::engine::Engine;
use crate::measure::{Cell, Family, Label, Row, Table};

/// Every version in the document comes from the lock file that the program was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// Writes the whole document of what was measured on `engine`. `rounds` is only named, not used.
pub fn document(tables: &[Table], engine: Engine, rounds: u32) -> String {
    let rounds = rounds.to_string();
    let cell =
        "A cell: median time per call, its ratio to the `limit` of the same mode (the first row of the mode)";
    let mut out = match engine {
        Engine::Wasmtime => {
            let packages =
                ["wasmtime", "wapc", "wasmtime-provider", "antiphon", "antiphon-wasmtime", "tokio"];
            heading("Antiphon against the limit and the incumbent", &packages, &[("rounds", &rounds)])
                + &format!(
                    "\n{cell}, and for Antiphon how many times faster than the incumbent of the same mode it is (`/`).\n"
                )
        }
        Engine::Wasmi => {
            let packages = ["wasmi", "antiphon", "antiphon-wasmi", "tokio"];
            heading("Antiphon on wasmi against the limit", &packages, &[("rounds", &rounds)])
                + &format!("\n{cell}.\n")
        }
    };
    for table in tables {
        section(&mut out, table);
    }
    out
}

/// Begins a document: what the machine is, what was built, and what else there is to say about the run.
pub fn heading(title: &str, packages: &[&str], others: &[(&str, &str)]) -> String {
    let mut out = format!("# {title}\n\n");
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let mut fact = |name: &str, value: &str| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "- {name}: {value}");
    };
    let machine = format!("{}, {cores} cores", cpu_model().unwrap_or_else(|| "unknown".into()));
    fact("machine", &machine);
    fact("load average at the end (1, 5, 15 minutes)", &load_average().unwrap_or_else(|| "unknown".into()));
    fact("compiler", env!("BENCH_RUSTC"));
    for package in packages {
        let built = cfg!(feature = "antiphon") || !package.starts_with("antiphon");
        let version = locked_version(package).filter(|_| built);
        fact(package, version.unwrap_or("not in this build"));
    }
    for (name, value) in others {
        fact(name, value);
    }
    out
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load_average() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split(' ').take(3).collect::<Vec<_>>().join(", "))
}

/// The version of `package` in the lock file.
fn locked_version(package: &str) -> Option<&'static str> {
    let mut lines = LOCK.lines();
    lines.find(|line| line.strip_prefix("name = ").is_some_and(|name| name.trim_matches('"') == package))?;
    Some(lines.next()?.strip_prefix("version = ")?.trim_matches('"'))
}

fn section(out: &mut String, table: &Table) {
    let heads: Vec<String> = table.sizes.iter().map(|&size| bytes(size)).collect();
    let _ = writeln!(out, "\n## {}\n\n| variant | {} |", table.title, heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(heads.len()));
    for row in &table.rows {
        let cells: Vec<String> = row
            .cells
            .iter()
            .enumerate()
            .map(|(column, cell)| entry(table, &row.label, column, cell))
            .collect();
        let _ = writeln!(out, "| {} | {} |", row.label, cells.join(" | "));
    }
    let noise: Vec<String> =
        (0..heads.len()).map(|column| format!("{:.0} %", 100.0 * noise(table, column))).collect();
    let _ = writeln!(out, "\nNoise (the widest interquartile range of a row): {}.", noise.join(", "));
}

/// One cell: time, ratio to the limit, and for Antiphon the factor to the incumbent.
fn entry(table: &Table, label: &Label, column: usize, cell: &Cell) -> String {
    let reference = |family| {
        let row = table.rows.iter().find(|row| row.label.family == family && row.label.mode == label.mode)?;
        Some(row.cells.get(column)?.median)
    };
    let mut text = time(cell.median);
    if let Some(limit) = reference(Family::Limit) {
        let _ = write!(text, ", {:.2}x", cell.median / limit);
    }
    if label.family == Family::Antiphon
        && let Some(incumbent) = reference(Family::Incumbent)
    {
        let _ = write!(text, ", /{:.1}", incumbent / cell.median);
    }
    text
}

/// How far apart the middle half of the rounds lies, at worst, as a share of the median.
fn noise(table: &Table, column: usize) -> f64 {
    let range = |row: &Row| Some(row.cells.get(column)?.spread());
    table.rows.iter().filter_map(range).fold(0.0, f64::max)
}

/// A time as text.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 100.0 => format!("{ns:.1} ns"),
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

/// A size as text.
pub fn bytes(size: usize) -> String {
    match size {
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}
