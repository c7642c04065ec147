//! Runs every example of the help and the README, and compares its output.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{caches, repository, run};

fn help(of: &[&str]) -> String {
    let run = run([of, &["--help"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    run.text().to_owned()
}

/// Returns the commands below `EXAMPLES:` in a help text.
fn examples(help: &str) -> Vec<String> {
    let (_, after) = help.split_once("\nEXAMPLES:\n").unwrap();
    after.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// Returns a directory to run in, with the guests at the paths that examples use.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(repository().join("guests"), dir.path().join("guests")).unwrap();
    dir
}

/// Runs a line in a shell that finds the program; both output streams are merged.
fn shell(line: &str, place: &Path) -> (Option<i32>, String) {
    let bin = Path::new(env!("CARGO_BIN_EXE_antiphon")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 2>&1; {line}")]).current_dir(place).env("PATH", path);
    command.env("XDG_CACHE_HOME", caches());
    let output = command.env_remove("CLICOLOR_FORCE").stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_example_of_the_help_runs() {
    let place = place();
    for of in [
        [].as_slice(),
        &["bench"],
        &["call"],
        &["compare"],
        &["compile"],
        &["engines"],
        &["inspect"],
        &["new"],
        &["new", "guest"],
        &["test"],
        &["completions"],
    ] {
        let examples = examples(&help(of));
        assert!(!examples.is_empty(), "{of:?}");
        for line in examples {
            // The time of a measurement makes no difference here.
            let line = line.replace("--duration 1s", "--duration 100ms");
            let (code, output) = shell(&line, place.path());
            assert_eq!(code, Some(0), "{line}\n{output}");
        }
    }
}

/// What every command has, or what an example would say nothing about.
const PLAIN: [&str; 3] = ["--help", "--version", "--wasi"];

/// The long options in a text.
fn options(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "`,=[]".contains(c));
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn every_option_of_a_call_has_an_example_and_other_commands_say_where_theirs_are() {
    let call = help(&["call"]);
    let (described, shown) = call.split_once("\nEXAMPLES:\n").unwrap();
    let described: String = described
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(|line| [line, "\n"])
        .collect();
    let (described, shown) = (options(&described), options(shown));
    assert!(described.len() > 25, "{described:?}");
    let missing: Vec<_> = described.difference(&shown).filter(|option| !PLAIN.contains(option)).collect();
    assert!(missing.is_empty(), "options without an example: {missing:?}");
    for of in ["bench", "compare"] {
        assert!(help(&[of]).contains("`antiphon call --help` has examples of the other limits"), "{of}");
    }
    // Its examples run until they are interrupted, so they are compared with those of `test`.
    let [watch, test] = ["watch", "test"].map(|of| help(&[of]));
    for line in examples(&watch) {
        assert!(line.starts_with("antiphon watch guests/built/"), "{line}");
        assert!(options(&line).is_subset(&options(&test)), "{line}");
    }
}

/// In the README a command follows `$ ` and its output (both streams) follows the command; `[..]`
/// matches anything within a line.
#[test]
fn every_example_of_the_readme_does_what_it_shows() {
    let readme = include_str!("../../README.md");
    let place = place();
    let mut shown = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for example in block.split("$ ").skip(1) {
            let (line, expected) = example.split_once('\n').unwrap();
            let (_, output) = shell(line, place.path());
            assert_eq!(output.lines().count(), expected.lines().count(), "$ {line}\n{output}");
            for (got, expected) in output.lines().zip(expected.lines()) {
                assert!(like(got, expected), "$ {line}\n  got:   {got}\n  shown: {expected}");
            }
            shown += 1;
        }
    }
    assert!(shown >= 5);
}

fn like(got: &str, expected: &str) -> bool {
    let parts: Vec<_> = expected.split("[..]").collect();
    let mut rest = got;
    for (number, part) in parts.iter().enumerate() {
        match rest.split_once(part) {
            Some((skipped, after)) if number > 0 || skipped.is_empty() => rest = after,
            _ => return false,
        }
    }
    rest.is_empty() || parts.last() == Some(&"")
}
