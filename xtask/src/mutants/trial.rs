//! Runs one command on the copy, and decides what its result says about a mutant.

use std::fs;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::catalogue::Mutant;
use super::scratch::Scratch;

/// The longest time for a command. The suite itself reports a hanging case after two minutes.
const PATIENCE: Duration = Duration::from_secs(400);

/// The command of a mutant.
pub(super) enum Command {
    /// `cargo test`: what to build, and the arguments of the test programs.
    Test { build: Vec<String>, run: Vec<String> },
    /// Another command that must fail, such as a lint.
    Refusal(Vec<String>),
}

/// The result of a command.
pub(super) enum Outcome {
    /// Test programs ran: the number of passed tests, and the names of the failed ones.
    Tests { passed: u64, failed: Vec<String> },
    /// A test program was ended by a signal or by the time limit.
    Died(String),
    /// The code does not compile, or a test program failed without naming a test.
    Broken(String),
    /// The result of a command that runs no tests.
    Refusal { refused: bool, output: String },
}

/// The verdict on a mutant.
pub(super) enum Verdict {
    /// Noticed by this case, and by `others` more.
    Red { by: String, others: usize },
    /// Nothing failed.
    Survived,
    /// Something failed, but not the expected case.
    Elsewhere { by: String },
    /// The mutant does not compile, or the result names no test.
    Broken { output: String },
}

/// A message of cargo about something that it built.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Command {
    pub(super) fn parse(line: &str) -> Self {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if !words.starts_with(&["cargo".to_owned(), "test".to_owned()]) {
            return Self::Refusal(words);
        }
        let at = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let run = words.split_off(at).into_iter().skip(1).collect();
        Self::Test { build: words.into_iter().skip(1).collect(), run }
    }

    pub(super) fn is_test(&self) -> bool {
        matches!(self, Self::Test { .. })
    }

    pub(super) fn run(&self, scratch: &Scratch) -> Result<Outcome> {
        match self {
            Self::Refusal(words) => {
                let [program, arguments @ ..] = words.as_slice() else { anyhow::bail!("an empty command") };
                let output =
                    scratch.command(program).args(arguments).output().with_context(|| program.clone())?;
                let text = [output.stdout, output.stderr].concat();
                let output_text = String::from_utf8_lossy(&text).into_owned();
                Ok(Outcome::Refusal { refused: !output.status.success(), output: output_text })
            }
            Self::Test { build, run } => {
                let built = scratch
                    .command("cargo")
                    .args(build)
                    .args(["--locked", "--no-run", "--message-format=json-render-diagnostics"])
                    .output()
                    .context("cargo")?;
                if !built.status.success() {
                    return Ok(Outcome::Broken(String::from_utf8_lossy(&built.stderr).into_owned()));
                }
                // The test programs run directly and not through cargo, so that a hanging one can
                // be ended.
                let programs = String::from_utf8_lossy(&built.stdout)
                    .lines()
                    .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
                    .filter(|artifact| artifact.profile.as_ref().is_some_and(|profile| profile.test))
                    .filter_map(|artifact| Some((artifact.executable?, artifact.manifest_path?)))
                    .collect::<Vec<_>>();
                anyhow::ensure!(!programs.is_empty(), "`cargo {}` builds no test program", build.join(" "));
                run_tests(scratch, &programs, run)
            }
        }
    }
}

fn run_tests(scratch: &Scratch, programs: &[(PathBuf, PathBuf)], arguments: &[String]) -> Result<Outcome> {
    let (mut passed, mut failed) = (0, Vec::new());
    for (program, manifest) in programs {
        let package = manifest.parent().context("a manifest without a folder")?;
        let path = program.to_string_lossy();
        let (status, text) = patiently(
            scratch,
            scratch.command(&path).args(arguments).current_dir(package).env("CARGO_MANIFEST_DIR", package),
        )?;
        let results = text.lines().filter_map(|line| line.strip_prefix("test "));
        let before = failed.len();
        for result in results {
            if let Some(name) = result.strip_suffix("FAILED") {
                let name = name.trim_end().trim_end_matches("...").trim_end();
                failed.extend(name.split_whitespace().last().map(str::to_owned));
            }
            passed += u64::from(result.ends_with(" ok"));
        }
        match status {
            None => return Ok(Outcome::Died(format!("hung for {} s", PATIENCE.as_secs()))),
            Some(status) if status.code().is_none() => {
                return Ok(Outcome::Died(format!("the test program was ended: {status}")));
            }
            Some(status) if !status.success() && failed.len() == before => {
                return Ok(Outcome::Broken(format!("{path} fails without naming a test: {status}\n{text}")));
            }
            Some(_) => {}
        }
    }
    Ok(Outcome::Tests { passed, failed })
}

/// Runs a program to its end, or ends it after the time limit; returns its output.
fn patiently(scratch: &Scratch, command: &mut std::process::Command) -> Result<(Option<ExitStatus>, String)> {
    let output = fs::File::create(scratch.output())?;
    // Written to a file, because a pipe that nothing reads would fill up. Panic messages go to
    // standard error and are dropped, because they would come between a test's name and its result.
    let mut child =
        command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().context("a test")?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if started.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    Ok((status, String::from_utf8_lossy(&fs::read(scratch.output())?).into_owned()))
}

impl Outcome {
    /// Returns whether the command passed and checked at least something.
    pub(super) fn is_green(&self) -> bool {
        match self {
            Self::Tests { passed, failed } => *passed > 0 && failed.is_empty(),
            Self::Refusal { refused, .. } => !refused,
            Self::Died(_) | Self::Broken(_) => false,
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Tests { passed, failed } => {
                format!("{passed} tests pass; these fail: {}", failed.join(", "))
            }
            Self::Died(how) => how.clone(),
            Self::Broken(output) | Self::Refusal { output, .. } => output.clone(),
        }
    }

    pub(super) fn verdict(self, mutant: &Mutant) -> Verdict {
        let expected = &mutant.fails;
        match self {
            Self::Broken(output) => Verdict::Broken { output },
            Self::Died(how) => Verdict::Red { by: how, others: 0 },
            Self::Refusal { refused: false, .. } => Verdict::Survived,
            Self::Refusal { output, .. } if output.contains(expected) => {
                Verdict::Red { by: format!("`{}`: {expected}", mutant.by), others: 0 }
            }
            Self::Refusal { output, .. } => Verdict::Elsewhere { by: output },
            Self::Tests { failed, .. } if failed.is_empty() => Verdict::Survived,
            Self::Tests { failed, .. } => match failed.iter().find(|case| is_case(case, expected)) {
                Some(by) => Verdict::Red { by: by.clone(), others: failed.len().saturating_sub(1) },
                None => Verdict::Elsewhere { by: failed.join(", ") },
            },
        }
    }
}

/// Returns whether a test is this case, by its whole name or by the last parts of its path.
fn is_case(test: &str, case: &str) -> bool {
    test.strip_suffix(case).is_some_and(|path| path.is_empty() || path.ends_with("::"))
}

impl Verdict {
    pub(super) fn is_red(&self) -> bool {
        matches!(self, Self::Red { .. })
    }

    /// Returns the word for the verdict, and the test that caused it.
    pub(super) fn words(&self) -> (&'static str, String) {
        match self {
            Self::Red { by, others: 0 } => ("red", by.clone()),
            Self::Red { by, others } => ("red", format!("{by} and {others} more")),
            Self::Survived => ("SURVIVED", "nothing".into()),
            Self::Elsewhere { by } => ("ELSEWHERE", by.clone()),
            Self::Broken { .. } => ("BROKEN", "see below".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_its_whole_name_or_the_end_of_its_path() {
        assert!(is_case("sync::trap::it", "sync::trap::it") && is_case("gate::tests::it", "it"));
        assert!(!is_case("async::trap::it", "sync::trap::it") && !is_case("tests::not_it", "it"));
    }

    #[test]
    fn a_mutant_is_red_only_by_the_case_that_it_names() {
        let mutant: Mutant = toml::from_str(
            "name = 'a'\nstands-for = 'b'\nby = 'cargo test -p c'\nfails = 'it'\n\
             [[change]]\nfile = 'd'\nfind = 'e'\nreplace = 'f'",
        )
        .unwrap();
        let failed = |names: &[&str]| Outcome::Tests {
            passed: 3,
            failed: names.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(failed(&["x::other", "x::it"]).verdict(&mutant).words().1, "x::it and 1 more");
        assert!(matches!(failed(&["other"]).verdict(&mutant), Verdict::Elsewhere { .. }));
        assert!(matches!(failed(&[]).verdict(&mutant), Verdict::Survived));
        let refusal = |refused| Outcome::Refusal { refused, output: "no: it".into() };
        assert!(refusal(true).verdict(&mutant).is_red() && !refusal(false).verdict(&mutant).is_red());
        assert!(!Outcome::Broken(String::new()).verdict(&mutant).is_red());
    }

    #[test]
    fn a_command_is_taken_apart_at_its_dashes() {
        let Command::Test { build, run } = Command::parse("cargo test -p a --lib -- b c") else {
            panic!("it runs tests")
        };
        assert_eq!((build.join(" "), run.join(" ")), ("test -p a --lib".into(), "b c".into()));
        assert!(!Command::parse("cargo clippy -p a -- -D warnings").is_test());
    }
}
