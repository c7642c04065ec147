//! House rules that no compiler and no lint checks.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// Returns every Rust file in a folder and its subfolders, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Others may be building there.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {}", folder.display());
    found
}

/// Each crate with the one file that may hold unsafe code; the crate denies it everywhere else.
const UNSAFE: [(&str, &str); 2] =
    [("antiphon-wasmtime", "compile/native.rs"), ("antiphon-guest", "imports.rs")];

#[test]
fn every_crate_forbids_unsafe_code_but_for_one_file() {
    for entry in fs::read_dir(crates()).unwrap() {
        let src = entry.unwrap().path().join("src");
        let root = ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().find(|root| root.exists());
        let root = root.unwrap_or_else(|| panic!("no crate in {}", src.display()));
        let text = fs::read_to_string(&root).unwrap();
        let place = UNSAFE.iter().find(|(name, _)| src.parent().is_some_and(|folder| folder.ends_with(name)));
        let line = if place.is_some() { "\n#![deny(unsafe_code)]\n" } else { "\n#![forbid(unsafe_code)]\n" };
        assert!(text.contains(line), "{} does not forbid unsafe code", root.display());
        for (path, text) in sources(&src) {
            let text: String = text.split_whitespace().collect();
            let allows = ["expect(unsafe_code", "allow(unsafe_code"].iter().any(|lint| text.contains(lint));
            let may = place.is_some_and(|(_, file)| path.ends_with(file));
            assert!(!allows || may, "{} allows it again", path.display());
        }
    }
}

#[test]
fn a_library_whose_unit_tests_do_not_run_has_none() {
    for entry in fs::read_dir(crates()).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let library = manifest.split("\n[").find(|section| section.starts_with("lib]"));
        if library.is_some_and(|section| section.contains("\ntest = false")) {
            for (path, text) in sources(&folder.join("src")) {
                assert!(!text.contains("#[cfg(test)]"), "the tests in {} never run", path.display());
            }
        }
    }
}

#[test]
fn the_libraries_know_no_operating_system() {
    for library in ["antiphon-protocol", "antiphon", "antiphon-wasi", "antiphon-wasmtime"] {
        for (path, text) in sources(&crates().join(library).join("src")) {
            // What the machine says about itself is said by its system, what is one user's alone by
            // its rights, and what a guest sees of files by their attributes.
            let particular = [
                "antiphon-wasmtime/src/engine/system_info.rs",
                "antiphon-wasmtime/src/compile/cache/private.rs",
                "antiphon-wasi/src/dirs/system/unix.rs",
            ];
            if particular.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            for particular in
                ["std::os::", "cfg(unix", "cfg(windows", "target_os", "target_family", "\"/proc"]
            {
                assert!(!text.contains(particular), "{} has {particular:?}", path.display());
            }
        }
    }
}

#[test]
fn the_tests_that_hold_the_promises_of_the_security_page_are_there() {
    let page = fs::read_to_string(crates().join("../SECURITY.md")).unwrap();
    let (_, section) = page.split_once("## What holds each promise").unwrap();
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let code: String = sources(&crates()).into_iter().map(|(_, text)| text).collect();
    let mut checked = 0;
    for row in rows.skip(2) {
        let (_, tests) = row.trim_end_matches('|').rsplit_once('|').unwrap();
        // Every second piece is between backticks.
        for test in tests.split('`').skip(1).step_by(2) {
            let known = if test.contains("::") {
                code.contains(&format!("case!({test})"))
            } else {
                code.contains(&format!("case!({test}::")) || code.contains(&format!("fn {test}("))
            };
            assert!(known, "SECURITY.md names `{test}`, which is no test");
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} tests are named");
}

/// Words that make a reader stop, each with a plainer one.
const WORDS: [(&str, &str); 6] = [
    ("whoever", "name the caller, holder or waiter"),
    ("somebody", "name the caller, holder or waiter"),
    ("anew", "again"),
    ("for ever", "forever"),
    ("in the place of", "instead of"),
    ("as the case may be", "say which case"),
];

/// Names of cases and tests, which do not change: the words in them are joined by underscores.
fn is_named(line: &str, start: usize, end: usize) -> bool {
    let joined = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = line.as_bytes();
    joined(start.checked_sub(1).and_then(|before| bytes.get(before))) || joined(bytes.get(end))
}

/// Returns what a reader reads: comments of sources, and all lines of pages, but for blocks of
/// code.
fn prose(path: &Path, text: &str) -> Vec<(usize, String)> {
    let page = path.extension().is_some_and(|extension| extension == "md");
    let mut code = false;
    let lines = text.lines().enumerate().filter(|(_, line)| {
        code ^= page && line.trim_start().starts_with("```");
        if page { !code } else { line.trim_start().starts_with("//") }
    });
    lines.map(|(number, line)| (number + 1, line.to_lowercase())).collect()
}

fn pages(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn prose_is_plain() {
    let root = crates().join("..");
    let mut texts = sources(&crates());
    texts.extend(pages(&crates()));
    texts.extend(pages(&root.join("docs")));
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "MIGRATING.md", "SECURITY.md"] {
        texts.push((root.join(page), fs::read_to_string(root.join(page)).unwrap()));
    }
    let mut stops = Vec::new();
    for (path, text) in &texts {
        let mut previous = (0, String::new());
        for (number, line) in prose(path, text) {
            for (word, plainer) in WORDS {
                for (start, _) in line.match_indices(word) {
                    if !is_named(&line, start, start + word.len()) {
                        stops.push(format!("{}:{number}: {word:?}: {plainer}", path.display()));
                    }
                }
            }
            let continues =
                previous.0 + 1 == number && !previous.1.trim().trim_start_matches(['/', '!']).is_empty();
            let start = line.trim_start();
            if !continues && (start.starts_with("/// the same") || start.starts_with("//! the same")) {
                stops
                    .push(format!("{}:{number}: name what it resembles, and the difference", path.display()));
            }
            previous = (number, line);
        }
    }
    assert!(stops.is_empty(), "{}", stops.join("\n"));
}

#[test]
fn comments_wrap_at_a_hundred_columns() {
    let mut wide = Vec::new();
    for (path, text) in sources(&crates()) {
        // Copies of guests, whose line numbers are in the modules that are checked in.
        if path.components().any(|part| part.as_os_str() == "templates") {
            continue;
        }
        let mut code = false;
        for (number, line) in text.lines().enumerate() {
            let comment = line.trim_start();
            let doc = comment.trim_start_matches(['/', '!']).trim_start();
            code = comment.starts_with("//") && (code ^ doc.starts_with("```"));
            // A table's row and an address cannot be wrapped.
            let whole = code || doc.starts_with('|') || doc.contains("://") || doc.contains("](");
            if comment.starts_with("//") && !whole && line.chars().count() > 100 {
                wide.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[test]
fn a_folder_and_a_file_can_be_taken_in_at_a_glance() {
    let root = crates().join("..");
    for folder in ["crates", "benches", "xtask", "examples", "compat"] {
        let mut count = std::collections::BTreeMap::<PathBuf, usize>::new();
        for (path, text) in sources(&root.join(folder)) {
            assert!(text.lines().count() <= 600, "{} has more than 600 lines", path.display());
            if path.components().any(|part| part.as_os_str() == "src") {
                *count.entry(path.parent().unwrap().to_owned()).or_default() += 1;
            }
        }
        assert!(!count.is_empty(), "no sources in {folder}");
        for (folder, files) in count {
            assert!(files <= 15, "{} has {files} files beside each other", folder.display());
        }
    }
}
