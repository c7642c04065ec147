//! `cold`: from a module's bytes to the answer to its first call, on each engine of Antiphon.
//!
//! ```text
//! RUST_BACKTRACE=0 cargo run --release --bin cold -- [--rounds N]
//! ```
//!
//! Markdown goes to stdout, progress to stderr. Nothing is cached: each round loads the module anew, into an engine of
//! its own.

use std::env;
use std::fmt::Write as _;
use std::time::Instant;

use antiphon::WapcHost;
use antiphon_benches::engine::Engine;
use antiphon_benches::measure::{self, Cell};
use antiphon_benches::{built, report};
use anyhow::{Context as _, Error, Result, bail, ensure};

const ROUNDS: u32 = 100;

/// The phases of a round, and their sum.
const COLUMNS: [&str; 4] = ["load", "start", "first call", "together"];

struct Guest {
    title: &'static str,
    wasm: Vec<u8>,
}

fn main() -> Result<()> {
    let rounds = rounds(env::args().skip(1))?;
    measure::check_environment()?;
    let guests = [
        Guest { title: "guests/built/assemblyscript.wasm", wasm: built::ASSEMBLYSCRIPT.to_vec() },
        Guest { title: "guests/built/rust.wasm", wasm: built::RUST.to_vec() },
        Guest {
            title: "guests/built/rust.wasm, each function four times",
            wasm: built::repeated(built::RUST, 4)?,
        },
    ];
    let packages = ["wasmtime", "wasmi", "antiphon", "antiphon-wasmtime", "antiphon-wasmi"];
    let mut tables = String::new();
    for guest in &guests {
        eprintln!("{}: {rounds} rounds", guest.title);
        table(&mut tables, guest, rounds)?;
    }
    print!(
        "{}\nA cell: median over the rounds (interquartile range as a share of it). \"Load\" is the bytes to a factory, \
         \"start\" a provider and its host, with the guest's init exports, \"first call\" an echo of 1 KiB.\n{tables}",
        report::heading("The first call of a cold module", &packages, &[("rounds", &rounds.to_string())])
    );
    Ok(())
}

fn rounds(mut arguments: impl Iterator<Item = String>) -> Result<u32> {
    let mut rounds = ROUNDS;
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--rounds" => {
                let value = arguments.next().context("--rounds needs a value")?;
                rounds = value.parse().context("--rounds takes a number")?;
            }
            _ => bail!("unknown argument {flag}; usage: cold [--rounds N]"),
        }
    }
    ensure!(rounds > 0, "--rounds has to be positive");
    Ok(rounds)
}

/// Measures one guest on both engines, in turns, and writes its table.
fn table(out: &mut String, guest: &Guest, rounds: u32) -> Result<()> {
    let engines = Engine::ALL;
    for engine in engines {
        // Threads are started, pages are mapped: once in a process.
        first_call(engine, &guest.wasm)?;
    }
    let mut times = engines.map(|_| [const { Vec::new() }; COLUMNS.len()]);
    let mut order: Vec<usize> = (0..engines.len()).collect();
    let mut seed = 1;
    for _ in 0..rounds {
        for &i in &order {
            for (column, nanoseconds) in times[i].iter_mut().zip(first_call(engines[i], &guest.wasm)?) {
                column.push(nanoseconds);
            }
        }
        measure::shuffle(&mut order, &mut seed);
    }
    let cells = times.map(|columns| columns.map(Cell::new));

    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "\n## {}, {} bytes\n", guest.title, guest.wasm.len());
    let _ = writeln!(out, "| engine | {} |\n|---|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    for (engine, cells) in engines.iter().zip(&cells) {
        let cell = |cell: &Cell| format!("{} ({:.0} %)", report::time(cell.median), 100.0 * cell.spread());
        let _ = writeln!(out, "| {} | {} |", engine.name(), cells.each_ref().map(cell).join(" | "));
    }
    let [compiled, interpreted] = &cells;
    let ratios = [0, 1, 2, 3].map(|i: usize| format!("{:.2}", compiled[i].median / interpreted[i].median));
    let _ = writeln!(out, "| {} / {} | {} |", engines[0].name(), engines[1].name(), ratios.join(" | "));
    Ok(())
}

/// Loads, starts and calls the guest once: the nanoseconds of each phase, and of all. What it takes down does not count.
fn first_call(engine: Engine, wasm: &[u8]) -> Result<[f64; COLUMNS.len()]> {
    let payload = [7; 1 << 10];
    let begun = Instant::now();
    let factory = engine.factory(wasm, true)?;
    let loaded = Instant::now();
    let host = WapcHost::new(factory.provider().map_err(Error::from_boxed)?, None)?;
    let started = Instant::now();
    let answer = host.call(built::OPERATION, &payload)?;
    let answered = Instant::now();
    ensure!(answer == payload, "the answer is not the payload");
    Ok([loaded - begun, started - loaded, answered - started, answered - begun]
        .map(|phase| phase.as_secs_f64() * 1e9))
}
