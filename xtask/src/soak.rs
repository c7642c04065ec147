//! Runs the providers for a long time, or under stress. The calls and their checks are in
//! `antiphon-conformance`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// The engine whose provider runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    Wasmtime,
    Wasmi,
}

impl Engine {
    const ALL: [Self; 2] = [Self::Wasmtime, Self::Wasmi];

    fn name(self) -> &'static str {
        match self {
            Self::Wasmtime => "wasmtime",
            Self::Wasmi => "wasmi",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Wasmtime => "antiphon-wasmtime",
            Self::Wasmi => "antiphon-wasmi",
        }
    }
}

/// The options of `soak`.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// How long to run
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    minutes: f64,
    /// Seed of the order of calls
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Engine to use
    #[arg(long, value_enum, default_value_t = Engine::Wasmtime)]
    engine: Engine,
    /// Use pools of hosts instead of hosts
    #[arg(long)]
    pool: bool,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
}

/// The options of `stress`.
#[derive(clap::Args)]
pub(crate) struct Stress {
    /// Factor over the sizes of `cargo test`; at 10, a million calls and a thousand replacements
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    scale: u8,
    /// Engine to use; all engines by default
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// Run only the cases whose names contain this
    filter: Option<String>,
}

/// Soaks a provider or a pool over it. The exit code says whether it passed.
pub(crate) fn soak(root: &Path, args: &Soak) -> Result<()> {
    let mut cargo = cargo(root, "run", args.release);
    if args.pool {
        cargo.args(["--package=antiphon-pool", "--example=soak_pool", "--"]);
        cargo.arg(format!("--engine={}", args.engine.name()));
    } else {
        let example = format!("--example=soak_{}", args.engine.name());
        cargo.args(["--package", args.engine.package(), &example, "--"]);
    }
    cargo.arg(format!("--minutes={}", args.minutes)).arg(format!("--seed={}", args.seed));
    process::run(&mut cargo)
}

/// Runs the stress cases at full size, one provider after the other.
pub(crate) fn stress(root: &Path, args: &Stress) -> Result<()> {
    for engine in Engine::ALL.into_iter().filter(|&engine| args.engine.is_none_or(|only| only == engine)) {
        let mut cargo = cargo(root, "test", args.release);
        cargo.args(["--package", engine.package(), "--test", "stress"]);
        cargo.args(&args.filter).env("ANTIPHON_STRESS_SCALE", args.scale.to_string());
        process::run(&mut cargo)?;
    }
    Ok(())
}

fn cargo(root: &Path, command: &str, release: bool) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args([command, "--quiet", "--locked"]).args(release.then_some("--release"));
    cargo
}
