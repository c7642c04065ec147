//! Runs the program of `xtask/instructions` under valgrind, and reads its counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::dump::Dump;
use super::{Counts, process};

/// The function whose instructions are counted, with everything that it calls.
const BATCH: &str = "instructions::batch";

/// How often the program runs. The addresses of its stack and heap differ between runs, which
/// changes the work of `malloc` and `memcpy`. The ticker also runs during some batches. Both only
/// add instructions, so the lowest count is what a call takes.
const RUNS: usize = 5;

/// glibc selects its `memcpy` by processor. These settings select one and the same on every x86_64
/// that valgrind imitates.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-ERMS,-AVX_Fast_Unaligned_Load";

/// Counts the instructions of each call: the average over its best batch.
pub(super) fn count(root: &Path) -> Result<Counts> {
    let program = build(root)?;
    let mut counts = Counts::new();
    for run in 0..RUNS {
        println!("run {} of {RUNS}", run + 1);
        let folder = tempfile::tempdir()?;
        let batches = run_once(&program, folder.path(), run)?;
        ensure!(!batches.is_empty(), "the program ran no batch");
        for (number, batch) in (1..).zip(batches) {
            let count = total(&folder.path().join(format!("batch.{number}")))?.div_ceil(batch.calls);
            let modes = counts.entry(batch.engine).or_default();
            let least = modes.entry(batch.mode).or_default().entry(batch.call).or_insert(count);
            *least = count.min(*least);
        }
    }
    Ok(counts)
}

/// Prints the functions in which a call, or each call, spends its instructions, in its best batch.
pub(super) fn profile(root: &Path, call: Option<&str>) -> Result<()> {
    version()?;
    let folder = tempfile::tempdir()?;
    let batches = run_once(&build(root)?, folder.path(), 0)?;
    let name = |batch: &Batch| format!("{} {} {}", batch.engine, batch.mode, batch.call);
    let mut profiles: Vec<(String, u64, Dump)> = Vec::new();
    for (number, batch) in (1..).zip(&batches) {
        let dump = Dump::read(&text(&folder.path().join(format!("batch.{number}")))?)?;
        match profiles.last_mut() {
            Some((last, _, best)) if *last == name(batch) => {
                if dump.total() < best.total() {
                    *best = dump;
                }
            }
            _ => profiles.push((name(batch), batch.calls, dump)),
        }
    }
    let is_asked_for = |name: &str| call.is_none_or(|call| call == name);
    if !profiles.iter().any(|(name, ..)| is_asked_for(name)) {
        let names: Vec<&str> = profiles.iter().map(|(name, ..)| name.as_str()).collect();
        bail!("no call {:?}; there are: {}", call.unwrap_or_default(), names.join(", "))
    }
    for (name, calls, dump) in profiles.iter().filter(|(name, ..)| is_asked_for(name)) {
        println!("### {name}\n\n{}", dump.table(*calls));
    }
    Ok(())
}

/// A line that the program printed.
struct Batch {
    engine: String,
    mode: String,
    call: String,
    calls: u64,
}

/// Runs the program under valgrind, which writes a dump per batch to `folder`.
fn run_once(program: &Path, folder: &Path, run: usize) -> Result<Vec<Batch>> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .args([format!("--toggle-collect={BATCH}"), format!("--dump-after={BATCH}")])
        .arg(format!("--callgrind-out-file={}", folder.join("batch").display()))
        .arg(program)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GLIBC_TUNABLES", TUNABLES)
        // A single thread compiles, so that the order of allocations is fixed.
        .env("RAYON_NUM_THREADS", "1")
        // Moves the start of the stack.
        .env("PADDING", "x".repeat(16 * run));
    process::output(&mut valgrind)?.lines().map(batch).collect()
}

fn batch(line: &str) -> Result<Batch> {
    let [engine, mode, call, calls] = line.split(' ').collect::<Vec<_>>()[..] else {
        bail!("expected engine, mode, call and number of calls: {line}")
    };
    let calls = calls.parse().with_context(|| format!("invalid number of calls: {line}"))?;
    ensure!(calls > 0, "a batch of no calls: {line}");
    Ok(Batch { engine: engine.into(), mode: mode.into(), call: call.into(), calls })
}

/// Builds the program and returns its path.
fn build(root: &Path) -> Result<PathBuf> {
    let messages = process::output(
        Command::new("cargo")
            .current_dir(root)
            // An incremental build inlines less, which raises the counts by a fifth.
            .env("CARGO_INCREMENTAL", "0")
            .args(["build", "--quiet", "--locked", "--package=instructions", "--profile=instructions"])
            .arg("--message-format=json-render-diagnostics"),
    )?;
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executable.context("cargo built no program")
}

/// Returns the version of valgrind, or an error if it is not installed.
pub(super) fn version() -> Result<String> {
    let mut valgrind = Command::new("valgrind");
    let found = valgrind.arg("--version").stdin(Stdio::null()).output();
    let found =
        found.context("valgrind is not installed; Debian and Ubuntu have it in the package `valgrind`")?;
    Ok(String::from_utf8(found.stdout).context("valgrind printed no version")?.trim().to_owned())
}

fn text(dump: &Path) -> Result<String> {
    fs::read_to_string(dump).context("valgrind wrote fewer dumps than there were batches")
}

/// Returns the number of instructions in a dump.
fn total(dump: &Path) -> Result<u64> {
    let text = text(dump)?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let count = line.context("a dump without a summary")?.trim().parse()?;
    // A count of zero means that valgrind did not find the function.
    ensure!(count > 0, "valgrind counted nothing: it did not find {BATCH}");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_engine_mode_call_and_number() {
        let found = batch("wasmi sync null 64").unwrap();
        assert_eq!(
            (found.engine.as_str(), found.mode.as_str(), found.call.as_str(), found.calls),
            ("wasmi", "sync", "null", 64)
        );
        for other in
            ["", "wasmi sync null", "wasmi sync null many", "wasmi sync null 0", "wasmi sync null 64 more"]
        {
            assert!(batch(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_dump_says_what_it_counted_or_is_refused() {
        let dump = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| fs::write(dump.path(), text).unwrap();
        write("events: Ir\nsummary: 49868\n\nob=(3) libc\n");
        assert_eq!(total(dump.path()).unwrap(), 49_868);
        write("events: Ir\nsummary: 0\n");
        assert!(total(dump.path()).unwrap_err().to_string().contains("counted nothing"));
        write("events: Ir\n");
        assert_eq!(total(dump.path()).unwrap_err().to_string(), "a dump without a summary");
    }
}
