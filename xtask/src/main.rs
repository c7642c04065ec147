//! Chores of the repository, run as `cargo xtask <command>`.

mod guests;
mod instructions;
mod mutants;
mod process;
mod readme;
mod scaffolds;
mod soak;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// The chore to do.
    #[command(subcommand)]
    command: Command,
}

/// One variant a chore; each lives in a module of its own.
#[derive(Subcommand)]
enum Command {
    /// Build the guests, or check the ones that are checked in
    Guests(guests::Args),
    /// Count the instructions of guest calls, and hold them against the figures that are checked in
    Instructions(instructions::Args),
    /// Put known faults back into the code and show that the suite notices them
    Mutants(mutants::Args),
    /// Run the README's commands and compare its code
    Readme,
    /// Generate, build and test a guest's project in each language whose toolchain is here
    Scaffolds,
    /// Call a provider for minutes, and see whether memory and latency stay where they were
    Soak(soak::Soak),
    /// Run the cases of the stress suite at full size
    Stress(soak::Stress),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not returned from main: with RUST_BACKTRACE set, as in CI, the trace would bury it.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the chore that was asked for.
fn run(command: &Command) -> Result<()> {
    let root = root()?;
    match command {
        Command::Guests(args) => guests::run(&root, args),
        Command::Instructions(args) => instructions::run(&root, args),
        Command::Mutants(args) => mutants::run(&root, args),
        Command::Readme => readme::run(&root),
        Command::Scaffolds => scaffolds::scaffolds(&root),
        Command::Soak(args) => soak::soak(&root, args),
        Command::Stress(args) => soak::stress(&root, args),
    }
}

/// The root of the repository.
///
/// Asked of cargo when it runs, not when it builds, so that the program holds no path.
fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = PathBuf::from(xtask);
    Ok(root.parent().context("xtask has no folder above it")?.to_owned())
}
