//! `cargo xtask instructions`: counts the instructions of guest calls with valgrind, and compares
//! them with the checked-in figures.
//!
//! On a shared machine, times drift by tens of percent, but the instructions of a call repeat to a
//! few in a thousand. So a difference of a few percent can fail a build. Counts see neither cache
//! misses nor mispredicted branches; the benchmarks do.

mod callgrind;
mod dump;
mod figures;
mod growth;

use std::path::Path;

use anyhow::{Result, ensure};

use self::figures::{Counts, Figures};
use crate::process;

/// The percentage by which a call may exceed its figure.
const TOLERANCE: u64 = 3;

/// The options of `instructions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the counts as the new figures
    #[arg(long)]
    update: bool,
    /// Show the functions in which a call spends its instructions, such as "wasmtime sync null";
    /// without a name, of every call
    #[arg(long, value_name = "CALL", conflicts_with = "update")]
    profile: Option<Option<String>>,
}

/// Counts, then compares or updates.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    ensure!(
        cfg!(all(target_arch = "x86_64", target_os = "linux")),
        "the figures hold only for Linux on x86_64"
    );
    if let Some(call) = &args.profile {
        return callgrind::profile(root, call.as_deref());
    }
    let tools = figures::Tools::here(root)?;
    let file = root.join("xtask/instructions/figures.toml");
    // Read before the build, which takes minutes, so that a bad file is reported at once.
    let known = if args.update { None } else { Some(Figures::read(&file)?) };
    if let Some(known) = &known {
        known.ensure_same_compiler(&tools)?;
    }
    let counts = callgrind::count(root)?;
    growth::ensure_none(&counts)?;
    match known {
        None => Figures::new(tools, counts).write(&file),
        Some(known) => known.compare(&tools, &counts),
    }
}
