//! Checks the guide: each code block is an excerpt of a file of this crate, and the suite skips the
//! cases that the guide says.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use antiphon::{Capabilities, Limits};
use antiphon_conformance::{Case, Mode, cases};

/// Names the file that the next block is an excerpt of.
const FROM_FILE: &str = "<!-- the file ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn guide() -> String {
    fs::read_to_string(root().join("docs/writing-a-provider.md")).expect("the guide")
}

/// A fenced block: the line before it, its language, its text.
struct Block {
    before: String,
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut before) = (Vec::new(), None::<Block>, "");
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (before, language) = (before.to_owned(), language.to_owned());
                open = Some(Block { before, language, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => before = line,
        }
    }
    blocks
}

/// Returns whether a text is whole lines of a file, with their indentation or less.
fn is_excerpt(text: &str, file: &str) -> bool {
    let indented = |text: &str, by: usize| {
        let mut lines = String::new();
        for line in text.lines() {
            let indentation = if line.is_empty() { 0 } else { by };
            lines.extend(std::iter::repeat_n(' ', indentation).chain(line.chars()).chain(['\n']));
        }
        lines
    };
    [0, 4, 8, 12].iter().any(|by| format!("\n{file}").contains(&format!("\n{}", indented(text, *by))))
}

#[test]
fn every_block_of_code_is_an_excerpt_of_the_file_that_it_names() {
    let mut seen = BTreeSet::new();
    for block in blocks(&guide()) {
        if !matches!(block.language.as_str(), "rust" | "toml") {
            // `rust,ignore` and the like are not allowed, so that no code goes unchecked.
            assert!(matches!(block.language.as_str(), "console" | "text"), "{}", block.language);
            continue;
        }
        let file = block.before.strip_prefix(FROM_FILE).and_then(|rest| rest.strip_suffix(" -->"));
        let file = file.unwrap_or_else(|| panic!("a block without its file:\n{}", block.text));
        let source = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(is_excerpt(&block.text, &source), "no excerpt of {file}:\n{}", block.text);
        seen.insert(file.to_owned());
    }
    for entry in fs::read_dir(root().join("examples/toy-provider/src")).expect("the sources") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let file = format!("examples/toy-provider/src/{name}");
        assert!(name == "lib.rs" || seen.contains(&file), "the guide shows nothing of {file}");
    }
}

/// Returns the capabilities whose absence makes the suite skip cases.
fn skipped_for(capabilities: &Capabilities) -> BTreeSet<String> {
    let modes = |case: &'static Case| case.modes().iter().map(move |mode| (case, *mode));
    cases()
        .flat_map(modes)
        .filter_map(|(case, mode)| case.missing(mode, capabilities))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_suite_skips_what_the_toy_does_not_declare_and_nothing_that_it_does() {
    let reasons = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| format!("the engine declares no `{name}`")).collect()
    };

    let plain = toy_provider::plain::factory(&smallest(), Limits::new()).expect("a factory");
    let all = ["backtrace", "deadline", "fuel", "memory_limit", "stack_limit", "suspend", "wasi"];
    assert!(skipped_for(&plain.capabilities()).is_superset(&reasons(&all)));

    let resumable = toy_provider::resumable::factory(&smallest(), Limits::new()).expect("a factory");
    let skipped = skipped_for(&resumable.capabilities());
    assert!(skipped.is_superset(&reasons(&["backtrace", "fuel", "memory_limit", "wasi"])), "{skipped:?}");
    assert!(skipped.is_disjoint(&reasons(&["deadline", "stack_limit", "suspend"])), "{skipped:?}");
}

#[test]
fn the_skipped_cases_that_the_guide_shows_are_skipped_for_that_reason() {
    let mut checked = 0;
    for line in guide().lines().filter(|line| line.contains("... ignored (")) {
        let line = line.strip_prefix("test [").expect("a line of the suite");
        let (provider, rest) = line.split_once("] ").expect("a provider");
        let (name, reason) = rest.split_once("... ignored (").expect("a reason");
        let (mode, case) = name.trim_end().split_once("::").expect("a mode");
        let mode = Mode::ALL.iter().find(|known| known.name() == mode).expect("a mode of the suite");
        let case = cases().find(|known| format!("{known:?}") == case).expect("a case of the suite");
        let factory = match provider {
            "plain" => toy_provider::plain::factory(&smallest(), Limits::new()),
            "resumable" => toy_provider::resumable::factory(&smallest(), Limits::new()),
            other => panic!("no provider {other}"),
        };
        let factory = factory.expect("a factory");
        let missing = match (*mode, factory.provider_async()) {
            (Mode::Async | Mode::Straight, Err(_)) => Some("the engine has no asynchronous mode"),
            _ => case.missing(*mode, &factory.capabilities()),
        };
        assert_eq!(Some(reason.trim_end_matches(')')), missing, "{case:?}");
        checked += 1;
    }
    assert!(checked >= 4, "the guide shows only {checked} skipped cases");
}

/// Returns a guest in binary format that never answers.
fn smallest() -> Vec<u8> {
    let text = r#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))"#;
    wat::parse_str(text).expect("a module")
}
