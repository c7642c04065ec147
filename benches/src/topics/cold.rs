//! `cold`: from a module's bytes to the answer of its first call, on each of Antiphon's engines.
//! Nothing is cached: each round loads the module into a new engine.

use std::time::Instant;

use antiphon::WapcHost;
use anyhow::{Error, Result, ensure};

use crate::built;
use crate::engine::Engine;
use crate::measure;
use crate::report::table::{Cell, Column, Row, Table};

/// The phases of a round, and their sum.
const COLUMNS: [&str; 4] = ["load", "start", "first call", "together"];

struct Guest {
    title: &'static str,
    wasm: Vec<u8>,
}

/// Returns a table for each guest.
///
/// # Errors
///
/// When a guest is refused, or does not answer with its payload.
pub fn tables(rounds: u32) -> Result<Vec<Table>> {
    let guests = [
        Guest { title: "guests/built/assemblyscript.wasm", wasm: built::ASSEMBLYSCRIPT.to_vec() },
        Guest { title: "guests/built/rust.wasm", wasm: built::RUST.to_vec() },
        Guest {
            title: "guests/built/rust.wasm, each function four times",
            wasm: built::repeated(built::RUST, 4)?,
        },
    ];
    guests.iter().map(|guest| table(guest, rounds)).collect()
}

/// Measures one guest on both engines, in turns.
fn table(guest: &Guest, rounds: u32) -> Result<Table> {
    eprintln!("cold, {}: {rounds} rounds", guest.title);
    let engines = Engine::ALL;
    for engine in engines {
        // A first call in the process starts threads and maps pages, which must not count.
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
    let rows = engines.iter().zip(times).map(|(engine, columns)| Row {
        label: format!("antiphon on {}", engine.name()),
        limit: Some(1),
        incumbent: None,
        cells: columns.into_iter().map(|rounds| Some(Cell::new(rounds))).collect(),
    });
    Ok(Table {
        title: format!("The first call of a cold module: {}, {} bytes", guest.title, guest.wasm.len()),
        note: "A cell: median over the rounds, and its ratio to wasmi. \"Load\" is the bytes to a factory, \"start\" a provider and \
               its host, with the guest's init exports, \"first call\" an echo of 1 KiB."
            .into(),
        columns: COLUMNS.map(Column::time).to_vec(),
        rows: rows.collect(),
    })
}

/// Loads, starts and calls the guest once. Returns the nanoseconds of each phase and of all;
/// dropping the host does not count.
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
