//! `loops`: guests that compute, with and without a way to end them.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::engine::Engine;
use crate::guest::Payload;
use crate::measure::SyncCall;
use crate::measure::turns::{Contender, take_turns};
use crate::report::table::{Column, Row, Table};
use crate::rivals::limit::{self, Interruption};
use crate::rivals::limit_wasmi;

/// The length of a batch; on an interpreter a single call takes longer.
const BATCH: Duration = Duration::from_millis(1);

/// Guests by name, with the words of their answers.
const GUESTS: [(&str, &str, &[u32]); 4] = [
    ("crc32 of 64 KiB", include_str!("../../guests/crc32.wat"), &[0x2914_2303]),
    (
        "sha256 of 16 KiB",
        include_str!("../../guests/sha256.wat"),
        &[
            0xde63_d66f,
            0xe69e_9247,
            0x8f82_82a1,
            0x7697_dd0d,
            0x961d_d69f,
            0x2f62_2c01,
            0x9f8d_2ed1,
            0xef0e_e691,
        ],
    ),
    ("fib(22)", include_str!("../../guests/fib.wat"), &[17_711]),
    ("256 Ki loads", include_str!("../../guests/one_load.wat"), &[2_147_352_576]),
];

/// A guest that is ready to be called, and its row.
struct Runner {
    engine: Engine,
    label: &'static str,
    call: Box<dyn FnMut() -> Result<Vec<u8>>>,
}

impl Runner {
    fn new(engine: Engine, label: &'static str, mut host: impl SyncCall + 'static) -> Self {
        let payload = Payload::new(0, 0);
        Self { engine, label, call: Box::new(move || host.call(&payload, <[u8]>::to_vec)) }
    }
}

fn runners(wasm: &[u8]) -> Result<Vec<Runner>> {
    let mut runners = vec![
        Runner::new(
            Engine::Wasmtime,
            "wasmtime by hand, no interruption",
            limit::looped(wasm, Interruption::None)?,
        ),
        Runner::new(Engine::Wasmtime, "wasmtime by hand, epochs", limit::looped(wasm, Interruption::Epochs)?),
        Runner::new(Engine::Wasmtime, "wasmtime by hand, fuel", limit::looped(wasm, Interruption::Fuel)?),
        Runner::new(Engine::Wasmi, "wasmi by hand, no interruption", limit_wasmi::looped(wasm, false)?),
        Runner::new(Engine::Wasmi, "wasmi by hand, fuel", limit_wasmi::looped(wasm, true)?),
    ];
    #[cfg(feature = "antiphon")]
    for (engine, label, host) in crate::rivals::antiphon::looped(wasm)? {
        runners.push(Runner::new(engine, label, host));
    }
    // The sort is stable, so the row by hand stays the first of its engine.
    runners.sort_by_key(|runner| runner.engine);
    Ok(runners)
}

/// Measures each guest on each engine.
///
/// # Errors
///
/// When a guest is refused, or answers with a wrong number.
pub fn table(rounds: u32) -> Result<Table> {
    let mut rows: Vec<Row> = Vec::new();
    let mut columns = Vec::new();
    for (name, text, words) in GUESTS {
        eprintln!("loops, {name}: {rounds} rounds");
        let expected: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let runners = runners(&wat::parse_str(text)?)?;
        if rows.is_empty() {
            rows = runners
                .iter()
                .map(|runner| Row {
                    label: runner.label.into(),
                    limit: runners.iter().position(|first| first.engine == runner.engine),
                    incumbent: None,
                    cells: Vec::new(),
                })
                .collect();
        }
        let mut contenders: Vec<Contender> = runners
            .into_iter()
            .map(|Runner { label, mut call, .. }| {
                let expected = expected.clone();
                Contender::each(label, move || {
                    let answer = call()?;
                    ensure!(answer == expected, "the guest answered {answer:x?}");
                    Ok(())
                })
            })
            .collect();
        columns.push(Column::time(name));
        for (row, cell) in rows.iter_mut().zip(take_turns(&mut contenders, rounds, BATCH)?) {
            row.cells.push(Some(cell));
        }
    }
    Ok(Table {
        title: "Guests that compute".into(),
        note: "A cell: median time of one call that computes, and its ratio to the same engine by hand without any interruption. \
               Every answer is checked."
            .into(),
        columns,
        rows,
    })
}
