//! `echo`: an echo through one guest call, and through one host call, by hand, by the incumbent, by Antiphon.
//!
//! ```text
//! RUST_BACKTRACE=0 cargo run --release --bin echo -- [--engine NAME] [--rounds N] [--filter TEXT[,TEXT..]]
//! ```
//!
//! The engine is wasmtime, or wasmi, on which the incumbent has no rows. Markdown goes to stdout, progress to stderr.
//! `--filter` keeps the rows whose label contains one of the texts, and the limit's rows always. `RUST_BACKTRACE` has
//! to be 0 (or not set): with 1, every error of wasmtime costs 3 to 5 us more.

use std::env;
use std::rc::Rc;

use antiphon_benches::engine::Engine;
use antiphon_benches::guest::Guest;
use antiphon_benches::measure::{self, Family, Variant, measure};
use antiphon_benches::{incumbent, limit, limit_wasmi, report};
use anyhow::{Context as _, Result, bail, ensure};
use tokio::runtime::{self, Runtime};

/// With some ten variants and 250 us a batch: about five seconds a payload size.
const ROUNDS: u32 = 1_000;

struct Options {
    engine: Engine,
    rounds: u32,
    /// Empty: every row.
    filter: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { engine: Engine::Wasmtime, rounds: ROUNDS, filter: Vec::new() };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--engine" => options.engine = Engine::named(&value()?)?,
                "--rounds" => options.rounds = value()?.parse().context("--rounds takes a number")?,
                "--filter" => options.filter = value()?.split(',').map(str::to_owned).collect(),
                _ => bail!(
                    "unknown argument {flag}; usage: echo [--engine NAME] [--rounds N] [--filter TEXT[,TEXT..]]"
                ),
            }
        }
        ensure!(options.rounds > 0, "--rounds has to be positive");
        Ok(options)
    }

    fn keeps(&self, variant: &Variant) -> bool {
        let label = variant.label.to_string();
        variant.label.family == Family::Limit
            || self.filter.is_empty()
            || self.filter.iter().any(|text| label.contains(text))
    }
}

fn main() -> Result<()> {
    let options = Options::parse(env::args().skip(1))?;
    measure::check_environment()?;
    let runtime = Rc::new(runtime::Builder::new_current_thread().build()?);
    let mut tables = Vec::new();
    for guest in [Guest::echo()?, Guest::host_call()?] {
        let mut variants = variants(options.engine, &guest, &runtime)?;
        variants.retain(|variant| options.keeps(variant));
        tables.push(measure(&guest, variants, options.rounds)?);
    }
    print!("{}", report::document(&tables, options.engine, options.rounds));
    Ok(())
}

/// Every variant of this build on `engine`, sorted into the order of the rows.
fn variants(engine: Engine, guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let mut variants = match engine {
        Engine::Wasmtime => limit::variants(guest, runtime)?,
        Engine::Wasmi => limit_wasmi::variants(guest, runtime)?,
    };
    if engine == Engine::Wasmtime {
        variants.extend(incumbent::variants(guest, runtime)?);
    }
    #[cfg(feature = "antiphon")]
    variants.extend(antiphon_benches::antiphon::variants(engine, guest, runtime)?);
    variants.sort_by_key(|variant| (variant.label.mode, variant.label.family));
    Ok(variants)
}
