//! `idle`: how much memory an instance keeps resident while nobody calls it, on each engine of Antiphon.
//!
//! ```text
//! cargo run --release --bin idle -- [--hosts N]
//! ```
//!
//! Many hosts of one factory, each called once, in a process of their own for each engine and guest: what one row left
//! in the allocator is not in the next. Markdown goes to stdout. Linux only.

use std::process::Command;
use std::{env, fs, str};

use antiphon::WapcHost;
use antiphon_benches::engine::Engine;
use antiphon_benches::{built, report};
use anyhow::{Context as _, Error, Result, bail, ensure};

const HOSTS: u32 = 1_000;

/// Guests: a number of pages, or the one in Rust.
const GUESTS: [(&str, &str); 4] = [
    ("1", "`guests/idle.wat`, 1 page (64 KiB)"),
    ("16", "`guests/idle.wat`, 16 pages (1 MiB)"),
    ("48", "`guests/idle.wat`, 48 pages (3 MiB)"),
    ("rust", "`guests/built/rust.wasm`, 17 pages"),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => document(HOSTS),
        ["--hosts", hosts] => document(number(hosts)?),
        ["--row", engine, guest, hosts] => row(Engine::named(engine)?, guest, number(hosts)?),
        _ => bail!("usage: idle [--hosts N]"),
    }
}

fn number(text: &str) -> Result<u32> {
    let hosts = text.parse().context("--hosts takes a number")?;
    ensure!(hosts > 0, "--hosts has to be positive");
    Ok(hosts)
}

/// Runs each row in a process of its own, and prints the table.
fn document(hosts: u32) -> Result<()> {
    let packages = ["wasmtime", "wasmi", "antiphon", "antiphon-wasmtime", "antiphon-wasmi"];
    print!("{}", report::heading("Idle instances", &packages, &[("hosts in a process", &hosts.to_string())]));
    println!(
        "\nWhat one host with its instance adds to the process: resident, every page that it maps; of that private or its \
         share of pages that several map.\n\n| guest | engine | resident | proportional |\n|---|---|---|---|"
    );
    for (guest, title) in GUESTS {
        for engine in Engine::ALL {
            let row = Command::new(env::current_exe()?)
                .args(["--row", engine.name(), guest, &hosts.to_string()])
                .output()?;
            let (name, error) = (engine.name(), String::from_utf8_lossy(&row.stderr));
            ensure!(row.status.success(), "{title} on {name}: {error}");
            println!("| {title} | {name} | {} |", str::from_utf8(&row.stdout)?.trim());
        }
    }
    Ok(())
}

/// One row: its two cells go to stdout.
fn row(engine: Engine, guest: &str, hosts: u32) -> Result<()> {
    let wasm = match guest {
        "rust" => built::RUST.to_vec(),
        pages => {
            let text = include_str!("../../guests/idle.wat");
            let memory = format!(r#"(memory (export "memory") {pages})"#);
            let enlarged = text.replace(r#"(memory (export "memory") 1)"#, &memory);
            ensure!(enlarged.contains(&memory), "the guest's text has another memory");
            wat::parse_str(enlarged)?
        }
    };
    let factory = engine.factory(&wasm, true)?;
    let called = || {
        let host = WapcHost::new(factory.provider().map_err(Error::from_boxed)?, None)?;
        let answer = host.call(built::OPERATION, b"1 idle payload")?;
        ensure!(answer == b"1 idle payload", "the answer is not the payload");
        Ok(host)
    };
    // What all share is there once the first one was called.
    let first = called()?;
    let mut all = Vec::with_capacity(hosts as usize);
    // Touched, so that the vector itself does not count.
    all.resize_with(hosts as usize, || None);
    let before = Resident::now()?;
    for place in &mut all {
        *place = Some(called()?);
    }
    let after = Resident::now()?;
    let each = |before: u64, after: u64| (after as f64 - before as f64) / f64::from(hosts);
    println!("{:.1} KiB | {:.1} KiB", each(before.all, after.all), each(before.share, after.share));
    drop((first, all));
    Ok(())
}

/// What of this process is resident, in KiB.
struct Resident {
    all: u64,
    share: u64,
}

impl Resident {
    fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/smaps_rollup")?;
        let field = |name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.context("a field is missing")?.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Self { all: field("Rss:")?, share: field("Pss:")? })
    }
}
