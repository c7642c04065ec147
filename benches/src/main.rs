//! `bench`: runs the benchmarks and prints one document.
//!
//! ```text
//! RUST_BACKTRACE=0 cargo run --release -- COMMAND [--rounds N] [--engine NAME] [--filter TEXT[,TEXT..]] [--json FILE]
//! ```
//!
//! A command is a name from `COMMANDS`, or `all`. Markdown goes to stdout, progress to stderr.
//! `RUST_BACKTRACE` must be 0 or unset: with 1, every error of wasmtime costs 3 to 5 us more.

use std::{env, fs};

use antiphon_benches::engine::Engine;
use antiphon_benches::measure;
use antiphon_benches::report::table::Table;
use antiphon_benches::report::{self, Facts, bars};
use antiphon_benches::topics::{echo, fresh, idle, load, loops};
use anyhow::{Context as _, Result, bail, ensure};

/// Each command and its default number of rounds: enough for its noise, and some minutes for all
/// commands.
const COMMANDS: [(&str, u32); 7] = [
    ("echo", 1_000),
    ("fresh", 200),
    ("threads", 60),
    ("idle", 1),
    ("load", 100),
    ("loops", 100),
    ("cold", 100),
];

struct Options {
    /// Commands and their rounds.
    runs: Vec<(&'static str, u32)>,
    /// The engines for `echo`; both by default.
    engines: Vec<Engine>,
    /// The rows for `echo`; empty for every row.
    filter: Vec<String>,
    json: Option<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let names: Vec<_> = COMMANDS.iter().map(|(name, _)| *name).collect();
        let usage = format!(
            "usage: bench all|{} [--rounds N] [--engine NAME] [--filter TEXT[,TEXT..]] [--json FILE]",
            names.join("|")
        );
        let command = arguments.next().with_context(|| usage.clone())?;
        let runs = COMMANDS.into_iter().filter(|(name, _)| command == "all" || command == *name).collect();
        let mut options = Self { runs, engines: Engine::ALL.to_vec(), filter: Vec::new(), json: None };
        ensure!(!options.runs.is_empty(), "no command {command}; {usage}");
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--engine" => options.engines = vec![Engine::named(&value()?)?],
                "--rounds" => {
                    let rounds = value()?.parse().context("--rounds takes a number")?;
                    ensure!(rounds > 0, "--rounds has to be positive");
                    options.runs.iter_mut().for_each(|run| run.1 = rounds);
                }
                "--filter" => options.filter = value()?.split(',').map(str::to_owned).collect(),
                "--json" => options.json = Some(value()?),
                _ => bail!("unknown argument {flag}; {usage}"),
            }
        }
        Ok(options)
    }
}

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.next_if_eq("idle-row").is_some() {
        let arguments: Vec<_> = arguments.collect();
        let [name, guest, count] = &arguments[..] else { bail!("idle-row is only for `idle`") };
        return idle::row(name, guest, count);
    }
    let options = Options::parse(arguments)?;
    measure::check_environment()?;
    let mut tables = Vec::new();
    for &(command, rounds) in &options.runs {
        tables.extend(run(command, rounds, &options)?);
    }
    let rounds: Vec<_> = options.runs.iter().map(|(command, rounds)| format!("{command} {rounds}")).collect();
    let facts = Facts::gather(&[("rounds", rounds.join(", "))]);
    let bars = bars::bars(&tables);
    if let Some(file) = &options.json {
        fs::write(file, report::json(&facts, &tables, &bars))
            .with_context(|| format!("{file} cannot be written"))?;
    }
    print!("{}", report::markdown(&facts, &tables, &bars));
    Ok(())
}

fn run(command: &str, rounds: u32, options: &Options) -> Result<Vec<Table>> {
    match command {
        "echo" => {
            let mut tables = Vec::new();
            for &engine in &options.engines {
                tables.extend(echo::tables(engine, rounds, &options.filter)?);
            }
            Ok(tables)
        }
        "fresh" => Ok(vec![fresh::table(rounds)?]),
        "threads" => Ok(vec![fresh::threads(rounds)?]),
        "idle" => idle::tables(),
        "load" => Ok(vec![load::table(rounds)?]),
        "loops" => Ok(vec![loops::table(rounds)?]),
        #[cfg(feature = "antiphon")]
        "cold" => antiphon_benches::topics::cold::tables(rounds),
        _ => Ok(Vec::new()),
    }
}
