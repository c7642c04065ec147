//! The document, in Markdown and in JSON: the machine, the build, and the tables.

pub mod bars;
pub mod table;

use std::fmt::Write as _;
use std::{env, fs, thread};

use serde_json::{Value, json};

use self::bars::Bar;
use self::table::{Cell, Row, Table, Unit};

/// The lock file that the program was built with; all versions in the document come from it.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The packages whose versions a document names.
const PACKAGES: [&str; 12] = [
    "wasmtime",
    "wasmi",
    "antiphon",
    "antiphon-wasmtime",
    "antiphon-wasmi",
    "wapc",
    "wasmtime-provider",
    "extism",
    "tokio",
    "bytes",
    "blake3",
    "wat",
];

/// The facts before the tables: the machine, the build, and what else matters about the run.
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Returns the facts of this process, and `others`.
    pub fn gather(others: &[(&str, String)]) -> Self {
        let mut facts = Vec::new();
        let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
        let cores = thread::available_parallelism().map_or(0, usize::from);
        fact("machine", format!("{}, {cores} cores", cpu_model().unwrap_or_else(|| "unknown".into())));
        fact(
            "system",
            fs::read_to_string("/proc/version").map_or_else(|_| "unknown".into(), |text| text.trim().into()),
        );
        fact(
            "load average at the end (1, 5, 15 minutes)",
            load_average().unwrap_or_else(|| "unknown".into()),
        );
        fact("compiler", env!("BENCH_RUSTC").into());
        fact("RUST_BACKTRACE", env::var("RUST_BACKTRACE").unwrap_or_else(|_| "not set".into()));
        for package in PACKAGES {
            let built = (cfg!(feature = "antiphon") || !package.starts_with("antiphon"))
                && (cfg!(feature = "extism") || package != "extism");
            let version = locked_version(package).filter(|_| built);
            fact(package, version.unwrap_or("not in this build").into());
        }
        for (name, value) in others {
            fact(name, value.clone());
        }
        Self(facts)
    }
}

/// Writes the document in Markdown.
pub fn markdown(facts: &Facts, tables: &[Table], bars: &[Bar]) -> String {
    let mut out = "# Antiphon, measured\n\n".to_owned();
    for (name, value) in &facts.0 {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "- {name}: {value}");
    }
    if !bars.is_empty() {
        out +=
            "\n## In one line each\n\nRatios of medians of one table below.\n\n| what | ratio |\n|---|---|\n";
        for bar in bars {
            let _ = writeln!(out, "| {} | {:.2} |", bar.name, bar.ratio);
        }
    }
    for table in tables {
        section(&mut out, table);
    }
    out
}

/// Writes the document in JSON, with every number in full, and medians with their quartiles.
pub fn json(facts: &Facts, tables: &[Table], bars: &[Bar]) -> String {
    let facts: serde_json::Map<String, Value> =
        facts.0.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
    let tables: Vec<Value> = tables
        .iter()
        .map(|table| {
            let columns: Vec<Value> = table
                .columns
                .iter()
                .map(|each| json!({ "name": each.name, "unit": each.unit.name() }))
                .collect();
            let rows: Vec<Value> = table
                .rows
                .iter()
                .map(|row| {
                    let cell = |cell: &Option<Cell>| match cell {
                        Some(cell) => json!({
                            "median": cell.median,
                            "lower_quartile": cell.lower_quartile,
                            "upper_quartile": cell.upper_quartile,
                        }),
                        None => Value::Null,
                    };
                    json!({
                        "label": row.label,
                        "limit": row.limit,
                        "incumbent": row.incumbent,
                        "cells": row.cells.iter().map(cell).collect::<Vec<_>>(),
                    })
                })
                .collect();
            json!({ "title": table.title, "note": table.note, "columns": columns, "rows": rows })
        })
        .collect();
    let bars: Vec<Value> = bars.iter().map(|bar| json!({ "name": bar.name, "ratio": bar.ratio })).collect();
    format!("{:#}\n", json!({ "facts": facts, "ratios": bars, "tables": tables }))
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

/// Returns the version of `package` in the lock file.
fn locked_version(package: &str) -> Option<&'static str> {
    let mut lines = LOCK.lines();
    lines.find(|line| line.strip_prefix("name = ").is_some_and(|name| name.trim_matches('"') == package))?;
    Some(lines.next()?.strip_prefix("version = ")?.trim_matches('"'))
}

fn section(out: &mut String, table: &Table) {
    let heads: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let _ = writeln!(out, "\n## {}\n\n{}\n\n| variant | {} |", table.title, table.note, heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(heads.len()));
    for row in &table.rows {
        let cells: Vec<String> = (0..heads.len()).map(|column| entry(table, row, column)).collect();
        let _ = writeln!(out, "| {} | {} |", row.label, cells.join(" | "));
    }
    let noise: Vec<String> =
        (0..heads.len()).map(|column| format!("{:.0} %", 100.0 * noise(table, column))).collect();
    let _ = writeln!(out, "\nNoise (the widest interquartile range of a row): {}.", noise.join(", "));
}

/// Writes one cell: its value, its ratio to the limit, and how many times better than the incumbent
/// it is.
fn entry(table: &Table, row: &Row, column: usize) -> String {
    let Some(Some(cell)) = row.cells.get(column) else { return "-".into() };
    let unit = table.columns[column].unit;
    let mut text = match unit {
        Unit::Time => time(cell.median),
        Unit::Memory => format!("{:.1} KiB", cell.median),
        Unit::Factor => return format!("{:.2}", cell.median),
    };
    let reference = |index: Option<usize>| Some((*table.rows.get(index?)?.cells.get(column)?)?.median);
    if let Some(limit) = reference(row.limit) {
        let _ = write!(text, ", {:.2}x", cell.median / limit);
    }
    if let Some(incumbent) = reference(row.incumbent) {
        let _ = write!(text, ", /{:.1}", incumbent / cell.median);
    }
    text
}

/// Returns the largest distance between quartiles in a column, as a share of the median.
fn noise(table: &Table, column: usize) -> f64 {
    table.rows.iter().filter_map(|row| Some((*row.cells.get(column)?)?.spread())).fold(0.0, f64::max)
}

/// Writes a time.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 100.0 => format!("{ns:.1} ns"),
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

/// Writes a size.
pub fn bytes(size: usize) -> String {
    match size {
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}
