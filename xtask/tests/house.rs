//! House rules that no compiler and no lint checks.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// Every Rust file in a folder and its subfolders, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
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
fn the_libraries_know_no_operating_system() {
    for library in ["antiphon-protocol", "antiphon", "antiphon-wasi", "antiphon-wasmtime"] {
        for (path, text) in sources(&crates().join(library).join("src")) {
            // What the machine says about itself is said by its system, and what is one user's alone by its rights.
            if ["engine/system_info.rs", "compile/cache/private.rs"]
                .iter()
                .any(|name| path.ends_with(format!("antiphon-wasmtime/src/{name}")))
            {
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
