//! Counts the instructions of guest calls with valgrind, and holds them against the figures that are checked in.
//!
//! Unlike times, counts do not depend on what else the machine does, so that a few percent can fail a build.

mod callgrind;
mod dump;
mod figures;
mod growth;

use std::path::Path;

use anyhow::{Result, ensure};

use self::figures::{Counts, Figures};
use crate::process;

/// By how much a call may be dearer than its figure, in percent.
const TOLERANCE: u64 = 3;

/// What `instructions` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write what was counted as the new figures
    #[arg(long)]
    update: bool,
    /// Show instead in which functions a call spends them, such as "wasmtime sync null"; without a name, all of them
    #[arg(long, value_name = "CALL", conflicts_with = "update")]
    profile: Option<Option<String>>,
}

/// Counts, and compares or updates.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    ensure!(
        cfg!(all(target_arch = "x86_64", target_os = "linux")),
        "the figures are those of Linux on x86_64, and hold nowhere else"
    );
    if let Some(call) = &args.profile {
        return callgrind::profile(root, call.as_deref());
    }
    let tools = figures::Tools::here(root)?;
    let file = root.join("xtask/instructions/figures.toml");
    // Before the build, which takes minutes.
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
