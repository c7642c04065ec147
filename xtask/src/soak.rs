//! Runs one provider for a long time, or under stress. What is called and judged is in `antiphon-conformance`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// What `soak` is told.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// For how long
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    minutes: f64,
    /// Which calls come in which order
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Optimise the program
    #[arg(long)]
    release: bool,
}

/// What `stress` is told.
#[derive(clap::Args)]
pub(crate) struct Stress {
    /// How much larger the cases are than in `cargo test`: at 10 a million calls and a thousand replacements
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    scale: u8,
    /// Optimise the program
    #[arg(long)]
    release: bool,
    /// Only the cases whose names hold this
    filter: Option<String>,
}

/// Soaks the Wasmtime provider; its exit code says whether it held.
pub(crate) fn soak(root: &Path, args: &Soak) -> Result<()> {
    let mut cargo = cargo(root, "run", args.release);
    cargo.args(["--package", "antiphon-wasmtime", "--example", "soak", "--"]);
    cargo.arg(format!("--minutes={}", args.minutes)).arg(format!("--seed={}", args.seed));
    process::run(&mut cargo)
}

/// Runs the stress cases of the Wasmtime provider at full size.
pub(crate) fn stress(root: &Path, args: &Stress) -> Result<()> {
    let mut cargo = cargo(root, "test", args.release);
    cargo.args(["--package", "antiphon-wasmtime", "--test", "stress"]);
    cargo.args(&args.filter).env("ANTIPHON_STRESS_SCALE", args.scale.to_string());
    process::run(&mut cargo)
}

fn cargo(root: &Path, command: &str, release: bool) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args([command, "--quiet", "--locked"]).args(release.then_some("--release"));
    cargo
}
