//! `load`: a large module, loaded from its source and from kept native code.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use wasmtime::{Engine, Module};

use crate::built;
use crate::measure::turns::{Contender, take_turns};
use crate::report::table::{Column, Row, Table};
use crate::rivals::{incumbent, native};

/// The length of a batch.
const BATCH: Duration = Duration::from_millis(5);

/// Loads a large module in every way. Loads from source take seconds, so they run a tenth of the
/// rounds.
///
/// # Errors
///
/// When the module cannot be loaded.
pub fn table(rounds: u32) -> Result<Table> {
    let wasm: Arc<[u8]> = built::repeated(built::RUST, 90)?.into();
    let folder = tempfile::tempdir()?;
    let engine = Engine::default();
    let code: Arc<[u8]> = Module::new(&engine, &wasm)?.serialize()?.into();
    let file = folder.path().join("module.cwasm");
    fs::write(&file, &code)?;

    let (mut labels, mut cells) = (Vec::new(), Vec::new());
    #[cfg_attr(not(feature = "antiphon"), expect(unused_mut, reason = "there is one row more with it"))]
    let (source, mut kept) = (source(&wasm, &engine)?, cached(&code, &engine, &file)?);
    #[cfg(feature = "antiphon")]
    kept.push(crate::rivals::antiphon::cached(&wasm, &folder.path().join("antiphon"))?);
    for (name, mut contenders, rounds) in
        [("from source", source, rounds.div_ceil(10)), ("from what was kept", kept, rounds)]
    {
        eprintln!("load, {name}: {rounds} rounds");
        labels.extend(contenders.iter().map(|contender| contender.label.clone()));
        cells.extend(take_turns(&mut contenders, rounds, BATCH)?);
    }
    let mut table = Table {
        title: format!("Loading a module of {:.1} MB ({:.1} MB of native code)", mega(&wasm), mega(&code)),
        note: "`guests/built/rust.wasm`, each function 90 times. A cell: median time until it can be instantiated; the ratio of a \
               row from source is to the first row, that of a row from what was kept to `deserialize_file` with a pass of BLAKE3 \
               over the file."
            .into(),
        columns: vec![Column::time("load")],
        rows: Vec::new(),
    };
    let find = |label: &str| labels.iter().position(|each| each.starts_with(label));
    let [first, hashed, incumbent] = [SOURCE, HASHED, "source, incumbent"].map(find);
    let rows = labels.iter().zip(&cells).map(|(label, cell)| {
        let from_source = label.starts_with("source");
        Row {
            label: label.clone(),
            limit: if from_source { first } else { hashed },
            incumbent: incumbent.filter(|_| from_source && label.contains("antiphon")),
            cells: vec![Some(*cell)],
        }
    });
    table.rows = rows.collect();
    Ok(table)
}

/// The row that rows from source are compared with.
pub const SOURCE: &str = "source, wasmtime by hand: Cranelift";
/// The row that rows from kept code are compared with.
pub const HASHED: &str = "kept, wasmtime by hand: `deserialize_file` and one BLAKE3 pass";

fn mega(bytes: &[u8]) -> f64 {
    bytes.len() as f64 / 1e6
}

/// Returns the contenders that load from the module's bytes.
fn source(wasm: &Arc<[u8]>, engine: &Engine) -> Result<Vec<Contender>> {
    let (by_hand, by_incumbent, eager, lazy) =
        (Arc::clone(wasm), Arc::clone(wasm), Arc::clone(wasm), Arc::clone(wasm));
    let engine = engine.clone();
    let mut contenders = vec![
        Contender::each(SOURCE, move || Ok(Module::new(&engine, &by_hand)?)),
        Contender::each("source, incumbent, its default", move || incumbent::load(&by_incumbent)),
        Contender::each("source, wasmi by hand, all translated", move || {
            translate(&eager, wasmi::CompilationMode::Eager)
        }),
        Contender::each("source, wasmi by hand, lazily", move || {
            translate(&lazy, wasmi::CompilationMode::LazyTranslation)
        }),
    ];
    #[cfg(feature = "antiphon")]
    for each in crate::engine::Engine::ALL {
        let wasm = Arc::clone(wasm);
        let label = format!("source, antiphon on {}", each.name());
        contenders.push(Contender::each(label, move || each.factory(&wasm, true)));
    }
    Ok(contenders)
}

fn translate(wasm: &[u8], mode: wasmi::CompilationMode) -> Result<()> {
    let mut config = wasmi::Config::default();
    config.compilation_mode(mode);
    drop(wasmi::Module::new(&wasmi::Engine::new(&config), wasm)?);
    Ok(())
}

/// Returns the contenders that load kept code.
fn cached(code: &Arc<[u8]>, engine: &Engine, file: &Path) -> Result<Vec<Contender>> {
    let (first, second, third, bytes) = (engine.clone(), engine.clone(), engine.clone(), Arc::clone(code));
    let (mapped, hashed): (PathBuf, PathBuf) = (file.into(), file.into());
    let digest = blake3::hash(code);
    let contenders = vec![
        Contender::each("kept, wasmtime by hand: `deserialize`", move || native::from_bytes(&first, &bytes)),
        Contender::each("kept, wasmtime by hand: `deserialize_file`", move || {
            native::from_file(&second, &mapped)
        }),
        Contender::each(HASHED, move || {
            ensure!(hash(&hashed)? == digest, "the file has changed");
            native::from_file(&third, &hashed)
        }),
    ];
    Ok(contenders)
}

/// Hashes a file in pieces that stay in the processor's cache.
fn hash(file: &Path) -> Result<blake3::Hash> {
    let mut file = fs::File::open(file)?;
    let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize()),
            len => hasher.update(&piece[..len]),
        };
    }
}
