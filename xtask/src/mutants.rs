//! `cargo xtask mutants`: puts known faults back into the code, and shows that the tests notice
//! each of them.
//!
//! A test that cannot fail looks like any other test; the mutants prove that a test can. Each is a
//! fault that the design promises to exclude, as a small change of the code. It names the command
//! that must fail and the case that must be among the failures. The mutants are data, in
//! `xtask/mutants/*.toml`.

mod catalogue;
mod scratch;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use catalogue::Mutant;
use scratch::Scratch;
use trial::{Command, Verdict};

/// The options of `mutants`; with none, every mutant is tried.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Try only the mutants whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print the names; build nothing
    #[arg(long, conflicts_with = "check")]
    list: bool,
    /// Check that every mutant applies and that its case exists; build nothing
    #[arg(long)]
    check: bool,
}

/// Tries the selected mutants.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let mut mutants = catalogue::read(&root.join("xtask/mutants"))?;
    if let Some(only) = &args.only {
        mutants.retain(|mutant| mutant.name.contains(only.as_str()));
        ensure!(!mutants.is_empty(), "no mutant has {only:?} in its name; `--list` prints them all");
    }
    if args.list {
        for mutant in &mutants {
            println!("{}\n    {}\n    {}", mutant.name, mutant.stands_for, mutant.by);
        }
        return Ok(());
    }
    check(root, &mutants)?;
    if args.check {
        println!("{} mutants apply, and their cases are there", mutants.len());
        return Ok(());
    }
    try_all(root, &mutants)
}

/// Checks that every mutant applies to the current code, and names an existing case.
fn check(root: &Path, mutants: &[Mutant]) -> Result<()> {
    let tree = scratch::files(root)?;
    let sources: Vec<String> = tree
        .iter()
        .filter(|file| file.ends_with(".rs"))
        .map(|file| std::fs::read_to_string(root.join(file)).with_context(|| file.clone()))
        .collect::<Result<_>>()?;
    let mut wrong = Vec::new();
    for mutant in mutants {
        if let Err(error) = mutant.apply(root) {
            wrong.push(format!("{:?} does not apply: {error:#}", mutant.name));
        }
        let case = mutant.fails.rsplit("::").next().unwrap_or_default();
        if Command::parse(&mutant.by).is_test()
            && !sources.iter().any(|source| source.contains(&format!("fn {case}(")))
        {
            wrong.push(format!("{:?} names the case {case:?}, which does not exist", mutant.name));
        }
    }
    ensure!(wrong.is_empty(), "{}\nfix them in xtask/mutants", wrong.join("\n"));
    Ok(())
}

fn try_all(root: &Path, mutants: &[Mutant]) -> Result<()> {
    let scratch = Scratch::open(root)?;
    let healthy = baseline(&scratch, mutants)?;
    println!("| verdict | seconds | mutant | stands for | noticed by |\n|---|---|---|---|---|");
    let mut bad = 0;
    for mutant in mutants {
        let started = Instant::now();
        let changed = mutant.apply(scratch.tree())?;
        let verdict = {
            let _mutated = scratch.mutate(&changed)?;
            let command = Command::parse(&mutant.by);
            command.run(&scratch)?.verdict(mutant)
        };
        bad += u32::from(!verdict.is_red());
        let (word, by) = verdict.words();
        let seconds = started.elapsed().as_secs();
        println!("| {word} | {seconds} | {} | {} | {by} |", mutant.name, mutant.stands_for);
        if let Verdict::Broken { output } = &verdict {
            eprintln!("{output}");
        }
    }
    ensure!(bad == 0, "{bad} of {} mutants were not noticed as required", mutants.len());
    println!("\nall {} mutants were noticed; {healthy} commands pass without them", mutants.len());
    Ok(())
}

/// Checks that every command passes without a mutant, because only then does a failure prove
/// something. Returns the number of commands.
fn baseline(scratch: &Scratch, mutants: &[Mutant]) -> Result<usize> {
    let mut commands = BTreeMap::new();
    for mutant in mutants {
        commands.entry(mutant.by.as_str()).or_insert(&mutant.name);
    }
    for (by, mutant) in &commands {
        println!("without a mutant: {by}");
        // Tried twice, because a machine that is busy building may be too slow for a case that
        // measures time.
        let mut outcome = Command::parse(by).run(scratch)?;
        if !outcome.is_green() {
            outcome = Command::parse(by).run(scratch)?;
        }
        if !outcome.is_green() {
            bail!("`{by}`, which {mutant:?} must turn red, fails without it: {}", outcome.describe());
        }
    }
    println!();
    Ok(commands.len())
}
