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

/// Maintenance commands of the repository
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// The command to run.
    #[command(subcommand)]
    command: Command,
}

/// One variant per command; each has a module of its own.
#[derive(Subcommand)]
enum Command {
    /// Build the guests, or check the checked-in ones
    Guests(guests::Args),
    /// Count the instructions of guest calls, and compare them with the checked-in figures
    Instructions(instructions::Args),
    /// Put known faults back into the code, and check that the tests notice each
    Mutants(mutants::Args),
    /// Run the commands in the README and the guides, and compare their code with its files
    Readme,
    /// Generate, build and test a guest project in each language whose toolchain is installed
    Scaffolds,
    /// Call a provider for minutes, and check that memory and latency stay stable
    Soak(soak::Soak),
    /// Run the cases of the stress suite at full size
    Stress(soak::Stress),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Printed here, not returned from main: with RUST_BACKTRACE set, as in CI, a trace
            // would bury it.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command.
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

/// Returns the root of the repository.
///
/// Taken from cargo's variable at run time and not at compile time, so that the program contains no
/// path of the machine.
fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = PathBuf::from(xtask);
    Ok(root.parent().context("xtask has no folder above it")?.to_owned())
}
