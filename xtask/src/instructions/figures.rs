//! `xtask/instructions/figures.toml`: the instructions that a call may take, and the tools that
//! counted them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{TOLERANCE, callgrind, process};

/// The comment at the top of the file.
const HEADER: &str = "# Instructions of one call, by engine, mode and call. Written by `cargo xtask instructions --update`.\n\n";

/// Instructions of one call, by engine, mode and call.
pub(super) type Counts = BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>;

/// The tools that the figures depend on.
#[derive(Serialize, Deserialize)]
pub(super) struct Tools {
    rustc: String,
    valgrind: String,
}

impl Tools {
    /// Returns the tools of this machine.
    pub(super) fn here(root: &Path) -> Result<Self> {
        let rustc = process::output(Command::new("rustc").current_dir(root).arg("--version"))?;
        Ok(Self { rustc, valgrind: callgrind::version()? })
    }
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    tools: Tools,
    instructions: Counts,
}

impl Figures {
    pub(super) fn new(tools: Tools, instructions: Counts) -> Self {
        Self { tools, instructions }
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a file of figures", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, format!("{HEADER}{}", toml::to_string(self)?))
            .with_context(|| format!("{} could not be written", file.display()))?;
        println!("{} is written", file.display());
        Ok(())
    }

    /// Fails if the compiler differs: its code, and so its counts, would be different.
    pub(super) fn ensure_same_compiler(&self, here: &Tools) -> Result<()> {
        ensure!(
            self.tools.rustc == here.rustc,
            "the figures are those of {}, and this is {}: renew them at a commit that is known to be good, with \
             `cargo xtask instructions --update`",
            self.tools.rustc,
            here.rustc
        );
        Ok(())
    }

    /// Prints each call beside its figure, and fails if one takes too many instructions.
    pub(super) fn compare(&self, here: &Tools, counts: &Counts) -> Result<()> {
        println!("{:<36} {:>8} {:>8}", "instructions of a call", "figure", "now");
        let (mut dearer, mut cheaper) = (Vec::new(), Vec::new());
        let (figures, counts) = (flat(&self.instructions), flat(counts));
        for (call, &now) in &counts {
            let figure = *figures.get(call).with_context(|| {
                format!("{call} has no figure: add it with `cargo xtask instructions --update`")
            })?;
            #[expect(clippy::cast_precision_loss, reason = "they are thousands")]
            let change = now as f64 / figure as f64 - 1.0;
            println!("{call:<36} {figure:>8} {now:>8} {:>+7.1} %", 100.0 * change);
            if now * 100 > figure * (100 + TOLERANCE) {
                dearer.push(call.as_str());
            } else if now * 100 < figure * (100 - TOLERANCE) {
                cheaper.push(call.as_str());
            }
        }
        let gone: Vec<_> = figures.keys().filter(|&call| !counts.contains_key(call)).cloned().collect();
        ensure!(gone.is_empty(), "not counted any more: {}", gone.join(", "));
        if self.tools.valgrind != here.valgrind {
            println!("the figures were counted by {}, and these by {}", self.tools.valgrind, here.valgrind);
        }
        ensure!(
            dearer.is_empty(),
            "more than {TOLERANCE} % dearer: {}; if it has to be, `cargo xtask instructions --update`, and say why",
            dearer.join(", ")
        );
        if !cheaper.is_empty() {
            println!("cheaper: `cargo xtask instructions --update` keeps it so");
        }
        Ok(())
    }
}

/// Flattens the counts, with one name per call.
fn flat(counts: &Counts) -> BTreeMap<String, u64> {
    let mut flat = BTreeMap::new();
    for (engine, modes) in counts {
        for (mode, calls) in modes {
            for (call, &count) in calls {
                flat.insert(format!("{engine}, {mode}, {call}"), count);
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(rustc: &str) -> Tools {
        Tools { rustc: rustc.into(), valgrind: "valgrind-3.19.0".into() }
    }

    fn counts(count: u64) -> Counts {
        let calls = BTreeMap::from([("null".to_owned(), count)]);
        BTreeMap::from([("wasmi".to_owned(), BTreeMap::from([("sync".to_owned(), calls)]))])
    }

    #[test]
    fn three_percent_more_pass_and_the_next_instruction_fails() {
        let figures = Figures::new(tools("1.95"), counts(1_000));
        figures.compare(&tools("1.95"), &counts(1_030)).unwrap();
        figures.compare(&tools("1.95"), &counts(10)).unwrap();
        let error = figures.compare(&tools("1.95"), &counts(1_031)).unwrap_err().to_string();
        assert!(error.contains("more than 3 % dearer: wasmi, sync, null"), "{error}");
    }

    #[test]
    fn a_call_without_a_figure_and_a_figure_without_a_call_fail() {
        let figures = Figures::new(tools("1.95"), counts(1_000));
        let error = figures.compare(&tools("1.95"), &Counts::new()).unwrap_err().to_string();
        assert_eq!(error, "not counted any more: wasmi, sync, null");
        let nothing = Figures::new(tools("1.95"), Counts::new());
        let error = nothing.compare(&tools("1.95"), &counts(1)).unwrap_err().to_string();
        assert!(error.contains("wasmi, sync, null has no figure"), "{error}");
    }

    #[test]
    fn another_compiler_is_told_how_to_renew_the_figures() {
        let figures = Figures::new(tools("1.95"), counts(1));
        figures.ensure_same_compiler(&tools("1.95")).unwrap();
        let error = figures.ensure_same_compiler(&tools("1.96")).unwrap_err().to_string();
        assert!(error.contains("those of 1.95, and this is 1.96"), "{error}");
        assert!(error.contains("cargo xtask instructions --update"), "{error}");
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        Figures::new(tools("1.95"), counts(7)).write(file.path()).unwrap();
        let read = Figures::read(file.path()).unwrap();
        assert_eq!((read.tools.rustc.as_str(), read.instructions), ("1.95", counts(7)));
    }
}
